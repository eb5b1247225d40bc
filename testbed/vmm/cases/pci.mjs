// What a device is apart from its migration: found by its address, interrupting its guest, and reaching all of its memory.
import assert from 'node:assert/strict'
import { emulators } from '../../emulators.mjs'
import { buffers, high } from '../guest.mjs'
import { able, done, judge, live, pair, sameMemory } from '../move.mjs'

/** Waits until the devices have interrupted the guest so many times more. */
const interrupted = async (vm, times = 20) => {
  const { interrupts: before } = await vm.guest()
  const enough = async () => (await vm.guest()).interrupts >= before + times
  await vm.hears('devices interrupt the guest', enough)
}

/** @type {Record<string, import('../test.mjs').Case>} */
export default {
  'by-address': {
    what: 'QEMU finds a device by its address on the bus of the host',
    on: emulators,
    run: (bed) => live({ settings: able(bed), byAddress: true })(bed),
  },
  interrupts: {
    what: 'a guest hears its device by MSI-X, before it moves and afterwards, and hears nothing more than the device said',
    on: emulators,
    run: async (bed) => {
      const [devices, ability] = [{ settings: able(bed) }, 'interrupts']
      const source = await bed.start('source', { devices, ability })
      await source.booted(1)
      await interrupted(source)
      const target = await bed.start('target', { devices, ability, incoming: true })
      assert.deepEqual(await bed.move(source, target), done)
      await target.reaches('running')
      await interrupted(target)
      const { interrupts, rounds } = await target.guest()
      assert.ok(interrupts <= rounds, `${interrupts} interrupts in ${rounds} rounds`)
      await judge([source, target])
    },
  },
  'high-memory': {
    what: 'a device writes to memory above 4 GiB, and what it wrote arrives',
    on: emulators,
    run: async (bed) => {
      // One that changes nothing of its own: what QEMU 7.2 moves 8 bytes at a time is else never done on a busy machine.
      const devices = { settings: `${able(bed)},dirty-rate=0` }
      const ends = await pair(bed, devices, { ability: 'high', paused: true })
      const { bytes } = (await ends[0].memoryBytes()).find(({ from }) => from === high)
      const written = bytes.subarray(buffers.first, buffers.first + buffers.size)
      assert.ok(
        written.some((byte) => byte !== 0),
        'the device wrote nothing there',
      )
      await sameMemory(ends)
      await judge(ends)
    },
  },
}
