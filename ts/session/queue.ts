import type { SessionEvent } from './events.ts'

/** @internal The events of one session that nobody has read yet. Each goes to one reader. */
export class EventQueue {
  readonly #waiting: SessionEvent[] = []
  readonly #readers: ((result: IteratorResult<SessionEvent, undefined>) => void)[] = []
  #over = false

  push(event: SessionEvent) {
    const reader = this.#readers.shift()
    if (reader) return reader({ value: event, done: false })
    // The newest progress of an object says it all; everything else is kept until it is read.
    if (event.type === 'progress') {
      const older = this.#waiting.findIndex((one) => one.type === 'progress' && one.object === event.object)
      if (older >= 0) this.#waiting.splice(older, 1)
    }
    this.#waiting.push(event)
  }

  end() {
    this.#over = true
    for (const reader of this.#readers.splice(0)) reader({ value: undefined, done: true })
  }

  read(): AsyncIterableIterator<SessionEvent, undefined> {
    let left = false
    const done = { value: undefined, done: true } as const
    return {
      next: () => {
        const value = left ? undefined : this.#waiting.shift()
        if (value) return Promise.resolve({ value, done: false })
        if (left || this.#over) return Promise.resolve(done)
        return new Promise((resolve) => this.#readers.push(resolve))
      },
      return: () => {
        left = true
        return Promise.resolve(done)
      },
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }
}
