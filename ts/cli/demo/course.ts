import type { SessionEvent } from '../../session/events.ts'
import type { Side } from '../../session/report.ts'
import type { SeenState } from '../../states.ts'
import type { Result, Word } from './ends.ts'

/** A span of time in which something was so, in milliseconds of the shared clock. */
export interface Span<T> {
  readonly what: T
  readonly from: number
  to: number
}

/** What one end has said so far, in order of time. */
export class EndCourse {
  started: number | undefined
  result: Result | undefined
  readonly events: SessionEvent[] = []
  /** When the guest ran here. */
  readonly guest: Span<'runs'>[] = []
  /** For each device, when it was in which state. */
  readonly states = new Map<string, Span<SeenState>[]>()

  hear(word: Word) {
    switch (word.say) {
      case 'started':
        this.started = word.at
        break
      case 'guest': {
        const last = this.guest.at(-1)
        if (word.runs) this.guest.push({ what: 'runs', from: word.at, to: Number.POSITIVE_INFINITY })
        else if (last) last.to = word.at
        break
      }
      case 'event':
        this.events.push(word.event)
        if (word.event.type === 'state') this.#state(word.event)
        break
      case 'ended':
        this.result = word.result
        break
      case 'ready':
        break
      default:
        word satisfies never
    }
  }

  #state({ device, to, cause, atMicros }: Extract<SessionEvent, { type: 'state' }>) {
    // A device that the guest has worked with was in the state in which it was found.
    const before = cause === 'found' ? this.guest[0]?.from : undefined
    const at = before ?? (this.started ?? 0) + atMicros / 1000
    const spans = this.states.get(device) ?? []
    const last = spans.at(-1)
    if (last) last.to = at
    spans.push({ what: to, from: at, to: Number.POSITIVE_INFINITY })
    this.states.set(device, spans)
  }
}

/** Both ends. */
export type Course = Record<Side, EndCourse>
