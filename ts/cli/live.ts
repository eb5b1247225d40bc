import type { SessionEvent } from '../session/events.ts'
import type { Phase } from '../session/report.ts'
import type { SeenState } from '../states.ts'
import { bar, cut, type Paint } from './paint.ts'
import { bytes, duration } from './quantity.ts'

interface Line {
  state?: SeenState
  bytes: bigint
  left?: bigint
}

/** What one end of a run looks like now: made of its events, drawn as lines. */
export class LiveView {
  readonly #title: string
  readonly #lines = new Map<string, Line>()
  #phase: Phase | 'connecting' = 'connecting'
  #rate: bigint | undefined
  #note: string | undefined

  constructor(title: string) {
    this.#title = title
  }

  apply(event: SessionEvent) {
    switch (event.type) {
      case 'phase':
        this.#phase = event.phase
        break
      case 'state':
        this.#line(event.device).state = event.to
        break
      case 'progress': {
        const line = this.#line(event.object)
        line.bytes = event.bytes
        if (event.left === undefined) delete line.left
        else line.left = event.left
        if (event.rate !== undefined) this.#rate = event.rate
        break
      }
      case 'listening':
        this.#note = `listening at ${event.address}`
        break
      case 'overdue':
        this.#note = `${event.object}: ${event.call} is overdue`
        break
      case 'in-doubt':
        this.#note = `in doubt: ${event.why}`
        break
      case 'too-late':
      case 'tracker-lost':
        this.#note = event.why
        break
      case 'failed':
        this.#note = event.what
        break
      case 'given-up':
        this.#note = 'the guest was given up: the destination owns it'
        break
      case 'reset':
        this.#note = `${event.device} was reset`
        break
      case 'switchover':
      case 'reinit':
      case 'ended':
        break
      default:
        event satisfies never
    }
  }

  /** The view as lines of at most so many columns. */
  draw(width: number, paint: Paint): string[] {
    const all = [...this.#lines.values()]
    const moved = all.reduce((sum, line) => sum + line.bytes, 0n)
    const known = all.length > 0 && all.every((line) => line.left !== undefined)
    const left = known ? all.reduce((sum, line) => sum + (line.left as bigint), 0n) : undefined
    const facts = [`${bytes(moved)} moved`]
    if (this.#rate) facts.push(`${bytes(this.#rate)}/s`)
    if (left !== undefined) facts.push(`${bytes(left)} left`)
    if (left !== undefined && this.#rate) facts.push(`ETA ${duration(Number((left * 1_000_000n) / this.#rate))}`)
    const name = Math.max(6, ...[...this.#lines.keys()].map((id) => id.length))
    const room = Math.max(10, Math.min(40, width - name - 50))
    const lines = [
      `${paint.bold(this.#title)}  ${paint.yellow(this.#phase)}  ${facts.join(paint.dim(' · '))}`,
      ...[...this.#lines].map(([id, line]) => {
        const rest = line.left === undefined ? '' : `${bytes(line.left)} left`
        return `  ${id.padEnd(name)}  ${(line.state ?? '').padEnd(12)}  ${bar(shareOf(line), room, paint)}  ${bytes(line.bytes).padStart(8)}  ${paint.dim(rest)}`
      }),
      ...(this.#note ? [`  ${paint.dim(this.#note)}`] : []),
    ]
    return lines.map((line) => cut(line, width))
  }

  #line(id: string): Line {
    const line = this.#lines.get(id) ?? { bytes: 0n }
    this.#lines.set(id, line)
    return line
  }
}

const shareOf = ({ bytes: moved, left }: Line) => {
  if (left === undefined) return undefined
  const all = moved + left
  return all === 0n ? 1 : Number((moved * 1000n) / all) / 1000
}
