// What goes wrong, one fault a row: the same for each QEMU and for our own client.
import { fsmRows } from './fsm.mjs'
import { regionRows } from './region.mjs'

/** By the protocol. */
export const protocols = { fsm: fsmRows, region: regionRows }

/** All, by their names. @type {Record<string, import('./row.mjs').Row>} */
export const rows = { ...fsmRows, ...regionRows }
