import type { WriteStream } from 'node:tty'
import { toJson } from '../json.ts'
import type { SessionEvent } from '../session/events.ts'
import type { Arguments } from './arguments.ts'
import { asVfioError, errorValue, lineOf } from './exit.ts'
import { type Paint, paintFor } from './paint.ts'
import { Screen } from './screen.ts'

/** What a command says, to whom: people, or programs that read JSON. */
export class Output {
  readonly json: boolean
  readonly quiet: boolean
  readonly paint: Paint
  readonly #events: boolean
  readonly #out: NodeJS.WriteStream
  #screen: Screen | undefined

  /** With `dataOnStdout` all of it goes to standard error. */
  constructor(values: Arguments['values'], dataOnStdout = false) {
    const json = values.get('json')
    this.json = json !== undefined
    this.quiet = values.has('quiet')
    this.#events = json === 'events'
    this.#out = dataOnStdout ? process.stderr : process.stdout
    this.paint = paintFor(this.#out)
    // Whoever stopped reading (head, a closed terminal) does not want the rest; the run itself goes on.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  }

  /** How wide the reader's lines are. */
  get width(): number {
    return this.#out.columns || 100
  }

  /** Starts the live view: on a terminal only, on standard error, and only for people. */
  live(draw: (width: number, paint: Paint) => string[]) {
    if (this.json || this.quiet || !process.stderr.isTTY || process.env.TERM === 'dumb') return
    const paint = paintFor(process.stderr)
    this.#screen = new Screen(process.stderr as WriteStream, (width) => draw(width, paint))
  }

  /** Ends the live view; `keep` leaves its last picture. */
  endLive(keep = false) {
    this.#screen?.end({ keep })
    this.#screen = undefined
  }

  /** One event, for `--json=events`. */
  event(value: SessionEvent | object) {
    if (this.#events) this.#out.write(`${toJson(value)}\n`)
  }

  /** Something that a person should know now. */
  note(line: string) {
    if (this.quiet) return
    if (this.#screen) this.#screen.say(line)
    else process.stderr.write(`${line}\n`)
  }

  /** The end of a run that did what was asked. */
  result(lines: readonly string[], value: object) {
    this.endLive()
    if (this.json) this.#out.write(`${toJson(value)}\n`)
    else if (!this.quiet) this.#out.write(`${lines.join('\n')}\n`)
  }

  /** The end of a run that did not: one clear line, and with `--json` the same as an object. */
  failure(error: unknown, value: object = {}) {
    this.endLive(true)
    const known = asVfioError(error)
    process.stderr.write(`${lineOf(known)}\n`)
    if (this.json) this.#out.write(`${toJson({ ok: false, error: errorValue(known), ...value })}\n`)
  }
}
