import type { SessionEvent } from '../session/events.ts'

/**
 * The events of a session for its picture. Of progress, which comes for as long as pre-copy lasts, about so many are
 * kept, evenly; all others are.
 */
export class EventLog {
  readonly #most: number
  #kept: SessionEvent[] = []
  #progress = 0

  constructor(mostProgress = 4096) {
    this.#most = Math.max(2, mostProgress)
  }

  /** What was kept, in order. */
  get events(): readonly SessionEvent[] {
    return this.#kept
  }

  hear(event: SessionEvent): void {
    this.#kept.push(event)
    if (event.type !== 'progress') return
    this.#progress += 1
    if (this.#progress > this.#most) this.#thin()
  }

  /** Leaves out every second progress of each object. */
  #thin() {
    const turns = new Map<string, number>()
    this.#kept = this.#kept.filter((event) => {
      if (event.type !== 'progress') return true
      const turn = turns.get(event.object) ?? 0
      turns.set(event.object, turn + 1)
      return turn % 2 === 0
    })
    this.#progress = this.#kept.filter(({ type }) => type === 'progress').length
  }
}
