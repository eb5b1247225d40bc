// Over multifd QEMU loses a packet of a device's data at times, on a busy machine: the source ends its channels while the
// packet is on its way, and says that it has completed; the destination fails, or waits for the packet for good and answers
// nobody. It says so itself.

/** What the destination is to tell of the packets, as its monitor for people takes it. */
export const told = 'trace:vfio_load_state_device_buffer_*'

const packets = (said, what) =>
  [...said.matchAll(new RegExp(`vfio_load_state_device_buffer_${what} +\\((.+)\\) idx (\\d+)`, 'g'))].map(
    ([, device, number]) => `packet ${number} of ${device}`,
  )

/** The packet that a QEMU waits for and that has not come, of what it said; undefined if there is none. */
export const lostPacket = (said) => {
  const came = new Set(packets(said, 'incoming'))
  return packets(said, 'starved').find((packet) => !came.has(packet))
}
