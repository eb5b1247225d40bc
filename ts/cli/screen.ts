import type { WriteStream } from 'node:tty'

/** How often the picture is drawn again, in milliseconds. */
const FRAME = 80

/** Lines at the bottom of a terminal that are drawn over themselves. */
export class Screen {
  readonly #terminal: WriteStream
  readonly #draw: (width: number) => string[]
  readonly #timer: NodeJS.Timeout
  #height = 0

  constructor(terminal: WriteStream, draw: (width: number) => string[]) {
    this.#terminal = terminal
    this.#draw = draw
    this.#timer = setInterval(() => this.#paint(), FRAME)
    // A picture is no reason for the process to live.
    this.#timer.unref()
    terminal.write('\x1b[?25l')
    this.#paint()
  }

  /** Draws a last time, or leaves nothing, and gives the terminal back. */
  end({ keep }: { readonly keep: boolean }) {
    clearInterval(this.#timer)
    if (keep) this.#paint()
    else this.#terminal.write(this.#home())
    this.#terminal.write('\x1b[?25h')
    this.#height = 0
  }

  /** Prints a line above the picture. */
  say(line: string) {
    this.#terminal.write(`${this.#home()}${line}\n`)
    this.#height = 0
    this.#paint()
  }

  #home() {
    return `${this.#height > 0 ? `\x1b[${this.#height}A` : ''}\r\x1b[J`
  }

  #paint() {
    const lines = this.#draw(this.#terminal.columns || 80)
    this.#terminal.write(`${this.#home()}${lines.map((line) => `${line}\n`).join('')}`)
    this.#height = lines.length
  }
}
