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
 * @property {boolean} [quick] also without --all
 */

/** @type {Record<string, Row>} */
export const rows = {}

const add = (side, what, how, theirs, more = {}) => {
  const id = `${side}: ${what}: ${how}`
  rows[id] = { side, what, how, theirs, ours: theirs, on: fsm, settings: full, ...more }
}

/** A device that fails at a change of its state: it stays where it was, or it enters the error state. */
const change = (side, to, where, { ours = where, quick } = {}) => {
  add(side, `to ${to}`, 'EIO', `set-state@${where}:EIO`, { ours: `set-state@${ours}:EIO`, quick })
  add(side, `to ${to}`, 'error state', `set-state@${where}:error`, { ours: `set-state@${ours}:error` })
}

change('source', 'pre-copy', '2/running', { ours: '1/running', quick: true })
change('source', 'pre-copy-p2p', '1/pre-copy')
change('source', 'stop-copy', '1/pre-copy-p2p', { quick: true })
change('source', 'stop', '1/stop-copy')
change('target', 'resuming', '1/running', { quick: true })
change('target', 'running-p2p', '1/resuming')
change('target', 'running', '1/running-p2p', { quick: true })

// So large that every phase has a first, a middle and a last one.
const large = `${full},size=4MiB,late=3MiB`
add('source', 'the first read in pre-copy', 'EIO', 'read@1/pre-copy:EIO', { settings: large, quick: true })
add('source', 'the first read in stop-copy', 'EIO', 'read@1/stop-copy:EIO', { settings: large })
add('source', 'the second read in stop-copy', 'EIO', 'read@2/stop-copy:EIO', { settings: large, quick: true })
add('source', 'the third read in stop-copy', 'EIO', 'read@3/stop-copy:EIO', { settings: large })
add('source', 'the second read in stop-copy', 'ENOMSG', 'read@2/stop-copy:ENOMSG', { settings: large })
add('source', 'the first question for the size', 'EIO', 'data-size@1:EIO')
add('source', 'every question for the size', 'EIO', 'data-size@1+:EIO')
add('source', 'every question for the size', 'unknown', 'data-size@1+:unknown')
add('source', 'every question for the size', 'none left', 'data-size@1+:zero')
add('source', 'the first question what pre-copy has left', 'EIO', 'pre-copy-info@1:EIO')
add('source', 'every question what pre-copy has left', 'EIO', 'pre-copy-info@1+:EIO', { quick: true })
add('source', 'the start of the log', 'EIO', 'tracker-start@1:EIO', { quick: true })
add('source', 'the first report of the log', 'EIO', 'tracker-report@1:EIO')
add('source', 'a report of the log in stop-copy', 'EIO', 'tracker-report@1/stop-copy:EIO', { quick: true })
add('target', 'the first write', 'EIO', 'write@1:EIO', { settings: large, quick: true })
add('target', 'the fourth write', 'EIO', 'write@4:EIO', { settings: large })
add('target', 'the first write', 'error state', 'write@1:error', { settings: large })
add('target', 'the first write, over multifd', 'EIO', 'write@1:EIO', {
  settings: 'dirty-tracking,size=4MiB',
  capabilities: ['multifd'],
})
