// What goes wrong with a device that has a data fd.
import { fsm, full } from '../move.mjs'
import { allInPreCopy, Rows } from './row.mjs'

const rows = new Rows({ on: fsm, settings: full })

/** A device that fails at a change of its state: it stays where it was, or it enters the error state. */
const change = (side, to, where, { ours = where, ...more } = {}) => {
  rows.add(side, `to ${to}`, 'EIO', `set-state@${where}:EIO`, { ...more, ours: `set-state@${ours}:EIO` })
  rows.add(side, `to ${to}`, 'error state', `set-state@${where}:error`, { ...more, ours: `set-state@${ours}:error` })
}

change('source', 'pre-copy', '2/running', { ours: '1/running' })
change('source', 'pre-copy-p2p', '1/pre-copy')
change('source', 'stop-copy', '1/pre-copy-p2p')
change('source', 'stop', '1/stop-copy')
change('target', 'resuming', '1/running')
change('target', 'running-p2p', '1/resuming')
change('target', 'running', '1/running-p2p')

// So large that every phase has a first, a middle and a last read: five in stop-copy, of which the last says that it is over.
const large = { settings: `${full},size=4MiB,late=3MiB` }
rows.each(
  'source',
  'read',
  [
    ['the first read in pre-copy', '1/pre-copy'],
    ['the first read in stop-copy', '1/stop-copy'],
    ['the second read in stop-copy', '2/stop-copy'],
    ['the third read in stop-copy', '3/stop-copy'],
    ['the last read of data in stop-copy', '4/stop-copy'],
    ['the read at the end of stop-copy', '5/stop-copy'],
  ],
  large,
)
rows.add('source', 'the second read in stop-copy', 'ENOMSG', 'read@2/stop-copy:ENOMSG', large)
// Six reads for what a device that changes nothing has in pre-copy.
const still = { settings: `${full},size=8MiB,late=3MiB,dirty-rate=0`, saving: allInPreCopy }
rows.each(
  'source',
  'read',
  [
    ['a read in the middle of pre-copy', '3/pre-copy'],
    ['the read at the end of pre-copy', '6/pre-copy'],
  ],
  still,
)
rows.add('source', 'the first question for the size', 'EIO', 'data-size@1:EIO')
rows.add('source', 'every question for the size', 'EIO', 'data-size@1+:EIO')
rows.add('source', 'every question for the size', 'unknown', 'data-size@1+:unknown')
rows.add('source', 'every question for the size', 'none left', 'data-size@1+:zero')
rows.add('source', 'the first question what pre-copy has left', 'EIO', 'pre-copy-info@1:EIO')
rows.add('source', 'every question what pre-copy has left', 'EIO', 'pre-copy-info@1+:EIO')
rows.add('source', 'the start of the log', 'EIO', 'tracker-start@1:EIO')
rows.add('source', 'the first report of the log', 'EIO', 'tracker-report@1:EIO')
rows.add('source', 'a report of the log in stop-copy', 'EIO', 'tracker-report@1/stop-copy:EIO')
// A report for each part of the guest's memory, of which QEMU 10.0 counts more.
rows.add(
  'source',
  'the last report of the log',
  'EIO',
  {
    '10.0': 'tracker-report@7/stop-copy:EIO',
    11.1: 'tracker-report@4/stop-copy:EIO',
  },
  { ours: 'tracker-report@1/stop-copy:EIO' },
)
rows.each(
  'target',
  'write',
  [
    ['the first write', '1'],
    ['the fourth write', '4'],
    // The last 96 of at least 130 are what stop-copy brought; we write more at once.
    ['a write of what stop-copy brought', '100', '3'],
  ],
  large,
)
rows.add('target', 'the first write', 'error state', 'write@1:error', large)
// By then the source may have sent all that there is; a device that is slow to fail lets it be done before: else luck decides.
rows.add('target', 'the last write', 'EIO after a second', 'write@last:delay:1s,write@last:EIO', large)
// Over multifd QEMU writes what it read, and so five times. QEMU 10.0 says then that it completed, or hangs at times.
const multifd = { settings: 'dirty-tracking,size=4MiB', capabilities: ['multifd'], chance: ['10.0'] }
rows.each(
  'target',
  'write',
  [
    ['the first write, over multifd', '1'],
    ['the third write, over multifd', '3'],
    ['the last write, over multifd', '5'],
  ],
  multifd,
)

// QEMU 11.1 asks again and again in pre-copy.
const again = (what, call, ours) =>
  rows.add('source', what, 'EIO', `${call}@5/pre-copy:EIO`, { on: ['11.1'], ours: `${call}@${ours}:EIO` })
again('the fifth question for the size in pre-copy', 'data-size', '1')
again('the fifth question what pre-copy has left', 'pre-copy-info', '2/pre-copy')
again('the fifth report of the log in pre-copy', 'tracker-report', '1/pre-copy')
// Nobody knows which will be the last one: all from the fifth on are so.
const everyLater = (what, call, ours) =>
  rows.add('source', what, 'EIO', `${call}@5+/pre-copy:EIO`, { on: ['11.1'], ours: `${call}@${ours}:EIO`, rare: true })
everyLater('the size in pre-copy, from the fifth question to the last', 'data-size', '1+')
everyLater('what pre-copy has left, from the fifth question to the last', 'pre-copy-info', '2+/pre-copy')
everyLater('the log in pre-copy, from the fifth report to the last', 'tracker-report', '1+/pre-copy')

// When the guest runs for the first time, which for us is no session yet.
const boot = (to, at) => {
  rows.add('source', `to ${to} when the guest begins`, 'EIO', `set-state@${at}:EIO`, { ours: undefined })
  const alike = { ours: undefined, rare: true }
  rows.add('source', `to ${to} when the guest begins`, 'error state', `set-state@${at}:error`, alike)
}
boot('running-p2p', '1/running')
boot('running', '1/running-p2p')

// The way back from pre-copy, which a cancelled migration takes.
const cancelled = { cancelled: true, saving: { downtimeBudgetMs: 0 } }
rows.add('source', 'back to running, cancelled in pre-copy', 'EIO', 'set-state@1/pre-copy:EIO', cancelled)
rows.add('source', 'back to running, cancelled in pre-copy', 'error state', 'set-state@1/pre-copy:error', cancelled)
rows.add('source', 'the end of the log, cancelled in pre-copy', 'EIO', 'tracker-stop@1:EIO', cancelled)

// The way back, after a read that failed.
const broken = 'read@3/stop-copy:EIO'
for (const [how, effect] of [
  ['EIO', 'EIO'],
  ['error state', 'error'],
]) {
  rows.add('source', 'the change back from stop-copy', how, `${broken},set-state@1/stop-copy:${effect}`, large)
}
rows.add('source', 'the end of the log, on the way back', 'EIO', `${broken},tracker-stop@1:EIO`, large)

// What a machine with two devices makes of the failure of one.
const two = { devices: 2, on: ['11.1'] }
rows.add('source', 'to pre-copy-p2p, the second of two devices', 'EIO', 'set-state@1/pre-copy:EIO', two)
rows.add('source', 'to stop-copy, the second of two devices', 'EIO', 'set-state@1/pre-copy-p2p:EIO', two)
rows.add('source', 'to stop-copy, the second of two devices', 'error state', 'set-state@1/pre-copy-p2p:error', two)
rows.add('source', 'a read in stop-copy, the second of two devices', 'EIO', 'read@1/stop-copy:EIO', two)
rows.add('target', 'to running-p2p, the second of two devices', 'EIO', 'set-state@1/resuming:EIO', two)
rows.add('target', 'to running, the second of two devices', 'EIO', 'set-state@1/running-p2p:EIO', two)
rows.add('target', 'the first write, the second of two devices', 'EIO', 'write@1:EIO', two)

// By the character device, whose log is asked for in the same way.
const cdev = { cdev: true, on: ['11.1'] }
const byCdev = (what) => `${what}, by cdev`
rows.add('source', byCdev('to stop-copy'), 'error state', 'set-state@1/pre-copy-p2p:error', cdev)
rows.add('source', byCdev('the third read in stop-copy'), 'EIO', 'read@3/stop-copy:EIO', { ...cdev, ...large })
rows.add('source', byCdev('the start of the log'), 'EIO', 'tracker-start@1:EIO', cdev)
rows.add('source', byCdev('a report of the log in stop-copy'), 'EIO', 'tracker-report@1/stop-copy:EIO', cdev)
rows.add('target', byCdev('to running'), 'EIO', 'set-state@1/running-p2p:EIO', cdev)
rows.add('target', byCdev('the first write'), 'EIO', 'write@1:EIO', { ...cdev, ...large })

// A device without a log of its own, whose pages iommufd tracks.
const iommufd = { cdev: true, on: ['11.1'], settings: 'pre-copy,p2p', own: 'dirty-tracking' }
const byIommufd = (what) => `${what} of iommufd`
rows.add('source', byIommufd('the start of dirty tracking'), 'EIO', 'tracker-start@1:EIO', iommufd)
rows.add('source', byIommufd('the first dirty bitmap'), 'EIO', 'tracker-report@1:EIO', iommufd)
rows.add('source', byIommufd('a dirty bitmap in stop-copy'), 'EIO', 'tracker-report@1/stop-copy:EIO', iommufd)
rows.add('source', byIommufd('the end of dirty tracking, cancelled in pre-copy'), 'EIO', 'tracker-stop@1:EIO', {
  ...iommufd,
  ...cancelled,
})

export const fsmRows = rows.all
