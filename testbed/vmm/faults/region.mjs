// What goes wrong with the registers and the window of a region. QEMU 7.2 writes `running` when the guest starts.
import { allInPreCopy, Rows } from './row.mjs'

const protocol = 'dirty-tracking,protocol=region,dialect=qemu'
const rows = new Rows({ on: ['7.2'], settings: `pre-copy,${protocol}` })

/** A register that fails, or whose device enters the error state; `alike` says that this is much like another row's. */
const register = (side, what, call, where, { ours = where, alike = false, ...more } = {}) => {
  for (const [how, effect] of [
    ['EIO', 'EIO'],
    ['error state', 'error'],
  ]) {
    const rare = alike && effect === 'error'
    rows.add(side, what, how, `${call}@${where}:${effect}`, { ...more, rare, ours: `${call}@${ours}:${effect}` })
  }
}

/** A device that fails when `device_state` is written. */
const write = (side, to, where, more) => register(side, `device_state to ${to}`, 'write-device-state', where, more)

write('source', 'pre-copy', '2/running', { ours: '1/running' })
write('source', 'stop-copy', '1/pre-copy')
// QEMU writes it again when the guest has stopped; we do so once.
write('source', 'stop-copy again', '1/stop-copy', { ours: '1/pre-copy', alike: true })
write('source', 'stop', '2/stop-copy', { ours: '1/stop-copy' })
write('target', 'resuming', '1/running')
write('target', 'running', '1/resuming')

/** `device_state` is read before each change, and by us after each as well. */
const read = (side, when, where, more) => register(side, `device_state read ${when}`, 'read-device-state', where, more)

// We look twice when we open the device.
read('source', 'before pre-copy', '2/running', { ours: '3/running' })
read('source', 'before stop-copy', '1/pre-copy', { ours: '2/pre-copy', alike: true })
read('source', 'first in stop-copy', '1/stop-copy', { alike: true })
read('source', 'last in stop-copy', '2/stop-copy')
read('target', 'before resuming', '1/running', { ours: '3/running' })
read('target', 'before running', '1/resuming', { ours: '2/resuming' })

for (const state of ['pre-copy', 'stop-copy']) {
  rows.each('source', 'read-pending-bytes', [[`pending_bytes in ${state}`, `1/${state}`]])
  rows.each('source', 'read-data-offset', [[`data_offset in ${state}`, `1/${state}`]])
  rows.each('source', 'read-data-size', [[`data_size in ${state}`, `1/${state}`]])
  rows.each('source', 'read-window', [[`the window in ${state}`, `1/${state}`]])
  rows.add('source', `data_offset in ${state}`, 'far outside', `read-data-offset@1/${state}:huge`)
  rows.add('source', `data_size in ${state}`, 'far too large', `read-data-size@1/${state}:huge`)
}
rows.each('target', 'read-data-offset', [['data_offset', '1/resuming']])
rows.each('target', 'write-window', [['the window', '1/resuming']])
rows.each('target', 'write-data-size', [['data_size', '1/resuming']])

// The way back, after a register that failed.
const back = (at, effect = 'error') => `read-data-size@1/stop-copy:EIO,write-device-state@${at}/stop-copy:${effect}`
rows.add('source', 'device_state back from stop-copy', 'error state', back(2), { ours: back(1) })

// QEMU wipes the device then at times, at times not.
const backWithout = { ours: back(1, 'EIO'), chance: ['7.2'] }
rows.add('source', 'device_state back from stop-copy', 'EIO', back(2, 'EIO'), backWithout)

// When the guest runs for the first time, which for us is no session yet; and after a migration that was cancelled.
for (const [how, effect] of [
  ['EIO', 'EIO'],
  ['error state', 'error'],
]) {
  const begins = `write-device-state@1/running:${effect}`
  rows.add('source', 'device_state when the guest begins', how, begins, { ours: undefined, rare: effect === 'error' })
  const backAgain = `write-device-state@1/pre-copy:${effect}`
  const cancelled = { cancelled: true, saving: { downtimeBudgetMs: 0 } }
  rows.add('source', 'device_state back to running, cancelled in pre-copy', how, backAgain, cancelled)
}

// Two devices, which QEMU moves without a thought for what one does to the other; we want the word of who moves them.
const word = { noP2pTraffic: true }
const two = { devices: 2, saving: word, restoring: word }
const second = (side, what, how, fault, ours = fault) =>
  rows.add(side, `${what}, the second of two devices`, how, fault, { ...two, ours })
second('source', 'device_state to stop-copy', 'EIO', 'write-device-state@1/pre-copy:EIO')
second('source', 'device_state to stop-copy', 'error state', 'write-device-state@1/pre-copy:error')
second('source', 'data_size in stop-copy', 'EIO', 'read-data-size@1/stop-copy:EIO')
second('target', 'data_size', 'EIO after a second', 'write-data-size@1:delay:1s,write-data-size@1:EIO')
second('target', 'device_state to running', 'EIO', 'write-device-state@1/resuming:EIO')

/**
 * All that the device has comes once, in pre-copy of a device that changes nothing, or else in stop-copy: in so many segments,
 * and by so many accesses of QEMU to the window, since it moves 8 bytes at a time where we move a segment.
 */
const [segments, inPreCopy, inStopCopy] = [5, 8242, 8774]
const once = { settings: `${protocol},segment=16KiB` }
const still = { settings: `pre-copy,${once.settings},dirty-rate=0`, saving: allInPreCopy }

/** A call that comes so often, to QEMU and to us, where it comes in the middle and for the last time. */
const source = (what, call, state, count, ours, more) => {
  rows.each(
    'source',
    call,
    [
      [`${what} in ${state}, in the middle`, `${Math.ceil(count / 2)}/${state}`, `${Math.ceil(ours / 2)}/${state}`],
      [`${what} in ${state}, at the end`, `${count}/${state}`, `${ours}/${state}`],
    ],
    more,
  )
}
for (const [state, accesses, more] of [
  ['pre-copy', inPreCopy, still],
  ['stop-copy', inStopCopy, once],
]) {
  // Asked once more, to hear that nothing is left.
  source('pending_bytes', 'read-pending-bytes', state, segments + 1, segments + 1, more)
  source('data_offset', 'read-data-offset', state, segments, segments, more)
  source('data_size', 'read-data-size', state, segments, segments, more)
  source('the window', 'read-window', state, accesses, segments, more)
}

/** The ninth of 17 segments, of which sockets do not hold the rest: the source is not done when the destination fails. */
const much = { settings: `${protocol},size=1MiB,segment=64KiB` }
rows.each('target', 'read-data-offset', [['data_offset in the middle', '9/resuming']], much)
rows.each('target', 'write-window', [['the window in the middle', '66079/resuming', '9/resuming']], much)
rows.each('target', 'write-data-size', [['data_size in the middle', '9/resuming']], much)

/** The last segment. Sockets hold all, and a device that is slow to fail lets the source be done before: else luck decides. */
const last = (what, call, at, { ours = at, rare = false } = {}) => {
  const faults = (at) => `${call}@${at}/resuming:delay:1s,${call}@${at}/resuming:EIO`
  rows.add('target', `${what} at the end`, 'EIO after a second', faults(at), { ...once, rare, ours: faults(ours) })
}
last('data_offset', 'read-data-offset', segments, { rare: true })
last('the window', 'write-window', inStopCopy, { ours: segments })
last('data_size', 'write-data-size', segments, { rare: true })

export const regionRows = rows.all
