// Over multifd QEMU loses a packet of a device's data at times, on a busy machine: the source ends its channels while the
// packet is on its way, and says that it has completed; the destination fails, or waits for the packet for good and answers
// nobody. It says so itself.

/** What a QEMU is to tell of the packets, as its monitor for people takes it. */
export const told = 'trace:vfio_load_state_device_buffer_incoming'

/** How many packets a source has sent: one for each piece that it read of a stopped device, and one behind them. */
const sent = ({ trace, devices }) => {
  const isPiece = ({ state, call, gave }) => state === 'stop-copy' && call === 'read' && /^[1-9]\d*B$/.test(gave[0])
  const pieces = trace.lines.filter(isPiece)
  return pieces.reduce((sum, { times }) => sum + times, devices)
}

const came = ({ said }) => said.match(/vfio_load_state_device_buffer_incoming/g)?.length ?? 0

/** How many packets have not come: `1 of 6 packets`; undefined if all have, or nobody tells. */
export const lostPackets = ([source, target]) => {
  if (!target?.tellsOfPackets) return undefined
  const all = sent(source)
  const lost = all - came(target)
  return lost > 0 ? `${lost} of ${all} packets` : undefined
}
