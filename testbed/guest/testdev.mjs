// What tests do in a machine with the project's own module: its two devices, their knobs, faults and counts
// (testbed/module/README.md).
import { readFileSync, writeFileSync } from 'node:fs'

const defaults = {
  capabilities: 7,
  dma_log: 1,
  size: 1 << 20,
  wipe: 0,
  keep_state: 0,
  enomsg: 1,
  accept_corrupt: 0,
  data_size_mode: 0,
  initial_size: 4096,
  dirty_per_query: 0,
  dirty_queries: 0,
  reinit_at: 0,
  log_page_size: 0,
  counts: 0,
  truth: 0,
}

/** One device of the module, by what it has in debugfs. */
export class Testdev {
  constructor(number) {
    this.name = `vfio-testdev.${number}`
    this.address = `vfio:platform/${this.name}`
  }

  #file(name) {
    return `/sys/kernel/debug/vfio-testdev/${this.name}/${name}`
  }

  /** Every knob at its default, but for those that are given; no fault, and nothing counted. */
  reset(knobs = {}) {
    this.fault('clear')
    for (const [name, value] of Object.entries({ ...defaults, ...knobs })) this.set(name, value)
  }

  set(name, value) {
    writeFileSync(this.#file(name), `${value}`)
  }

  get(name) {
    return Number(readFileSync(this.#file(name), 'utf8'))
  }

  /** What its memory is made from: a destination that has the source's was loaded. A number of 64 bits, as text. */
  get secret() {
    return readFileSync(this.#file('secret'), 'utf8').trim()
  }

  /** `KIND[:FROM>TO] N[+] ACTION [NUMBER]` */
  fault(line) {
    writeFileSync(this.#file('faults'), line)
  }

  /** How often each fault has struck that was set. */
  get struck() {
    return [...readFileSync(this.#file('faults'), 'utf8').matchAll(/struck (\d+)/g)].map(([, times]) => Number(times))
  }

  /** How often the driver did something, by its own count. */
  count(name) {
    const line = readFileSync(this.#file('counts'), 'utf8').match(new RegExp(`^${name} (\\d+)$`, 'm'))
    return line ? Number(line[1]) : 0
  }
}

/** The two devices, which all tests share. */
export const [from, to] = [new Testdev(0), new Testdev(1)]
