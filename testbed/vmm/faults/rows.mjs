// What goes wrong, one fault a row: the same for each QEMU and for our own client.
import { fsm, full } from '../move.mjs'

/**
 * @typedef {object} Row
 * @property {string[]} on which QEMUs
 * @property {'source' | 'target'} side whose device fails
 * @property {string} what is asked of the device that it fails at
 * @property {string} how it fails
 * @property {string} theirs the fault of the model as QEMU meets it. QEMU changes a device's state before the guest runs
 *   for the first time, so that its second request in `running` is the one that begins a migration
 * @property {string} [ours] where our client meets it elsewhere; the same without it
 * @property {string} [settings] of both devices
 * @property {string[]} [capabilities] that QEMU migrates with
 */

/** @type {Record<string, Row>} */
export const rows = {}

const add = (side, what, how, theirs, more = {}) => {
  const id = `${side}: ${what}: ${how}`
  rows[id] = { side, what, how, theirs, ours: theirs, on: fsm, settings: full, ...more }
}

/** A device that fails at a change of its state: it stays where it was, or it enters the error state. */
const change = (side, to, where, { ours = where } = {}) => {
  add(side, `to ${to}`, 'EIO', `set-state@${where}:EIO`, { ours: `set-state@${ours}:EIO` })
  add(side, `to ${to}`, 'error state', `set-state@${where}:error`, { ours: `set-state@${ours}:error` })
}

change('source', 'pre-copy', '2/running', { ours: '1/running' })
change('source', 'pre-copy-p2p', '1/pre-copy')
change('source', 'stop-copy', '1/pre-copy-p2p')
change('source', 'stop', '1/stop-copy')
change('target', 'resuming', '1/running')
change('target', 'running-p2p', '1/resuming')
change('target', 'running', '1/running-p2p')

// So large that every phase has a first, a middle and a last one.
const large = `${full},size=4MiB,late=3MiB`
add('source', 'the first read in pre-copy', 'EIO', 'read@1/pre-copy:EIO', { settings: large })
add('source', 'the first read in stop-copy', 'EIO', 'read@1/stop-copy:EIO', { settings: large })
add('source', 'the second read in stop-copy', 'EIO', 'read@2/stop-copy:EIO', { settings: large })
add('source', 'the third read in stop-copy', 'EIO', 'read@3/stop-copy:EIO', { settings: large })
add('source', 'the second read in stop-copy', 'ENOMSG', 'read@2/stop-copy:ENOMSG', { settings: large })
add('source', 'the first question for the size', 'EIO', 'data-size@1:EIO')
add('source', 'every question for the size', 'EIO', 'data-size@1+:EIO')
add('source', 'every question for the size', 'unknown', 'data-size@1+:unknown')
add('source', 'every question for the size', 'none left', 'data-size@1+:zero')
add('source', 'the first question what pre-copy has left', 'EIO', 'pre-copy-info@1:EIO')
add('source', 'every question what pre-copy has left', 'EIO', 'pre-copy-info@1+:EIO')
add('source', 'the start of the log', 'EIO', 'tracker-start@1:EIO')
add('source', 'the first report of the log', 'EIO', 'tracker-report@1:EIO')
add('source', 'a report of the log in stop-copy', 'EIO', 'tracker-report@1/stop-copy:EIO')
add('target', 'the first write', 'EIO', 'write@1:EIO', { settings: large })
add('target', 'the fourth write', 'EIO', 'write@4:EIO', { settings: large })
add('target', 'the first write', 'error state', 'write@1:error', { settings: large })
add('target', 'the first write, over multifd', 'EIO', 'write@1:EIO', {
  settings: 'dirty-tracking,size=4MiB',
  capabilities: ['multifd'],
})

// The same for the region protocol, where a register or the window fails. QEMU 7.2 writes `running` when the guest starts.
const region = { on: ['7.2'], settings: 'pre-copy,dirty-tracking,protocol=region,dialect=qemu' }

/** A device that fails when `device_state` is written. */
const write = (side, to, where, { ours = where } = {}) => {
  const fault = (at, effect) => `write-device-state@${at}:${effect}`
  add(side, `device_state to ${to}`, 'EIO', fault(where, 'EIO'), { ...region, ours: fault(ours, 'EIO') })
  add(side, `device_state to ${to}`, 'error state', fault(where, 'error'), { ...region, ours: fault(ours, 'error') })
}

write('source', 'pre-copy', '2/running', { ours: '1/running' })
write('source', 'stop-copy', '1/pre-copy')
write('source', 'stop', '2/stop-copy', { ours: '1/stop-copy' })
write('target', 'resuming', '1/running')
write('target', 'running', '1/resuming')

for (const state of ['pre-copy', 'stop-copy']) {
  add('source', `pending_bytes in ${state}`, 'EIO', `read-pending-bytes@1/${state}:EIO`, region)
  add('source', `data_offset in ${state}`, 'EIO', `read-data-offset@1/${state}:EIO`, region)
  add('source', `data_size in ${state}`, 'EIO', `read-data-size@1/${state}:EIO`, region)
  add('source', `the window in ${state}`, 'EIO', `read-window@1/${state}:EIO`, region)
  add('source', `data_offset in ${state}`, 'far outside', `read-data-offset@1/${state}:huge`, region)
  add('source', `data_size in ${state}`, 'far too large', `read-data-size@1/${state}:huge`, region)
}
add('target', 'data_offset', 'EIO', 'read-data-offset@1/resuming:EIO', region)
add('target', 'the window', 'EIO', 'write-window@1/resuming:EIO', region)
add('target', 'data_size', 'EIO', 'write-data-size@1/resuming:EIO', region)
