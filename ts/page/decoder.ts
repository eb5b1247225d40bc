import type { Part } from '../inspection.ts'
import { Unreadable } from './bytes.ts'
import type { Found, Told, Wanted } from './work.ts'

/** What is told of a task while it is under way. */
export interface Listener {
  progress?(bytes: number): void
  parts?(parts: readonly Part[]): void
}

/** The worker that looks into files: it is started when it is first needed. */
export class Decoder {
  #worker: Worker | undefined
  #last = 0
  readonly #tasks = new Map<number, (told: Told) => void>()

  /** Has something done; `stop` is called when nobody wants it any more. */
  start(task: Wanted, listener: Listener = {}): { readonly done: Promise<Found>; stop(): void } {
    this.#worker ??= this.#started()
    this.#last += 1
    const number = this.#last
    const done = new Promise<Found>((resolve, reject) => {
      this.#tasks.set(number, (told) => {
        if (told.kind === 'progress') listener.progress?.(told.bytes)
        else if (told.kind === 'parts') listener.parts?.(told.parts)
        else {
          this.#tasks.delete(number)
          if (told.kind === 'done') resolve(told.found)
          else reject(new Unreadable(told.failure.message, told.failure.remedy))
        }
      })
    })
    this.#worker.postMessage({ ...task, task: number })
    return {
      done,
      stop: () => {
        this.#tasks.delete(number)
        this.#worker?.postMessage({ kind: 'stop', task: number })
      },
    }
  }

  #started(): Worker {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
    worker.addEventListener('message', ({ data }: MessageEvent<Told>) => this.#tasks.get(data.task)?.(data))
    worker.addEventListener('error', ({ message }) => {
      // It is gone with everything that it was doing; the next task starts another one.
      this.#worker = undefined
      const failure = {
        message: `the part of the page that looks into files has failed: ${message}`,
        remedy: 'reload the page',
      }
      for (const [task, tell] of [...this.#tasks]) tell({ task, kind: 'failed', failure })
    })
    return worker
  }
}
