// QEMU's monitor (QMP): commands go in, answers and events come out, a line each.
import { createInterface } from 'node:readline'

/** How long an answer may take unless told otherwise, in milliseconds: a watchdog only. */
const patience = 60_000

/** A QEMU that was started as a child with `-qmp stdio`. */
export class Monitor {
  #child
  #patience
  #waiting = []
  #events = []
  #watching = []
  #said = ''
  /** How it ended: `{ code, signal }`; undefined while it runs. */
  ended

  /**
   * @param {import('node:child_process').ChildProcess} child with pipes for all three streams
   * @param {{ patience?: number }} [options]
   */
  constructor(child, options = {}) {
    this.#child = child
    this.#patience = options.patience ?? patience
    child.stderr.on('data', (bytes) => {
      this.#said += bytes
    })
    // A QEMU that has ended takes no commands: who waits is told by its end.
    child.stdin.on('error', () => {})
    child.on('close', (code, signal) => {
      this.ended = { code, signal }
      for (const { reject } of [...this.#waiting.splice(0), ...this.#watching.splice(0)]) reject(this.#gone())
    })
    createInterface({ input: child.stdout }).on('line', (line) => this.#hear(JSON.parse(line)))
  }

  /** Waits for the greeting and leaves the mode for negotiations; before that no command is taken. */
  async greet() {
    await this.#next()
    await this.execute('qmp_capabilities')
  }

  /** What it said on standard error. */
  get said() {
    return this.#said
  }

  /** The names of all events so far, in order. */
  get events() {
    return this.#events.map(({ event }) => event)
  }

  /** @throws with QEMU's own words if it refuses the command, or ends */
  async execute(execute, args = {}) {
    if (this.ended) throw this.#gone()
    const answer = this.#next()
    this.#child.stdin.write(`${JSON.stringify({ execute, arguments: args })}\n`)
    const { error, return: result } = await answer
    if (error) throw new Error(`${execute}: ${error.desc}`)
    return result
  }

  /** Waits for an event, unless it has come already. */
  async seen(event) {
    const before = this.#events.find((one) => one.event === event)
    if (before) return before
    if (this.ended) throw this.#gone()
    return this.#within(`the event ${event}`, (promise) => this.#watching.push({ event, ...promise }))
  }

  /** Waits until it has ended, and says how. */
  async end() {
    if (this.ended) return this.ended
    await this.#within('its end', ({ resolve }) => this.#child.once('close', resolve))
    return this.ended
  }

  #gone() {
    const { code, signal } = this.ended
    return new Error(`QEMU has ended with ${signal ?? code}: ${this.#said}`)
  }

  #hear(message) {
    if (message.event === undefined) {
      this.#waiting.shift()?.resolve(message)
      return
    }
    this.#events.push(message)
    const heard = this.#watching.filter(({ event }) => event === message.event)
    this.#watching = this.#watching.filter(({ event }) => event !== message.event)
    for (const { resolve } of heard) resolve(message)
  }

  #next() {
    return this.#within('an answer', (promise) => this.#waiting.push(promise))
  }

  #within(what, wait) {
    const { promise, resolve, reject } = withResolvers()
    const timer = setTimeout(() => reject(new Error(`QEMU does not give ${what}: ${this.#said}`)), this.#patience)
    wait({ resolve, reject })
    return promise.finally(() => clearTimeout(timer))
  }
}

// Promise.withResolvers is there from Node 22.
const withResolvers = () => {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}
