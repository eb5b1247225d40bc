// What was done to the devices of one machine, as the preload wrote it down (`vfio_migration_protocol::trace`).
import { existsSync, readFileSync } from 'node:fs'

/**
 * @typedef {object} Line
 * @property {string} device its number, `-` without one
 * @property {string} state before the call
 * @property {string} call
 * @property {string[]} with its arguments
 * @property {string[]} gave what it gave; the name of its error if it failed
 * @property {number} times how often it came in a row
 */

/** @returns {Line} */
const read = (text) => {
  const words = text.trim().split(/\s+/)
  const times = /^x(\d+)$/.exec(words.at(-1))
  if (times) words.pop()
  const [device, state, call, ...rest] = words
  const arrow = rest.indexOf('->')
  const [args, gave] = arrow < 0 ? [rest, []] : [rest.slice(0, arrow), rest.slice(arrow + 1)]
  return { device, state, call, with: args, gave, times: times ? Number(times[1]) : 1 }
}

export class Trace {
  #path

  constructor(path) {
    this.#path = path
  }

  /** All as text. */
  get text() {
    return existsSync(this.#path) ? readFileSync(this.#path, 'utf8') : ''
  }

  /** All lines so far. */
  get lines() {
    const lines = this.text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
    return lines.map(read)
  }

  /** The lines of one call, or of one note, of one device. */
  of(call, { device = '0' } = {}) {
    return this.lines.filter((line) => line.device === device && line.call === call)
  }

  notes(name, { device = '0' } = {}) {
    return this.of('note', { device }).filter((line) => line.with[0] === name)
  }

  /** How often a call came. */
  count(call, { device = '0' } = {}) {
    return this.of(call, { device }).reduce((sum, { times }) => sum + times, 0)
  }

  /** What the device held when its last save, or its last load, ended: `{ proof, counter }`. */
  held(name, { device = '0' } = {}) {
    const last = this.notes(name, { device }).at(-1)
    return last && { proof: last.with[1], counter: Number(last.with[2]) }
  }
}
