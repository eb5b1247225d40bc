import type { Outline, Part } from '../inspection.ts'
import type { SessionEvent } from '../session/events.ts'
import type { Report } from '../session/report.ts'
import { parseWire } from '../session/wire.ts'
import { endOfEvents } from './from-events.ts'
import { endOfReport } from './from-report.ts'
import { eventOf, reportOf } from './reading.ts'
import type { RunEnd } from './run.ts'

/** Most events that are kept of a stream. Its own session writes a few for each device. */
const most = 100_000

/**
 * The course of a save, as its own stream tells it: give it every part of the stream, as `inspect` finds them, and its
 * outline after the last one.
 *
 * @example
 * ```ts
 * import { inspect, openDevice, save } from 'vfio-migration'
 * import { runOf, StreamCourse, timeline } from 'vfio-migration/picture'
 * const session = await save(await openDevice('model:size=64KiB'))
 * const [inspection, course] = [inspect(session), new StreamCourse()]
 * for await (const part of inspection) course.hear(part)
 * const end = course.end(await inspection.outline())
 * console.log(timeline(runOf(end ? [end] : []), { width: 800 })) // <svg ...
 * await (await session.done).devices[0]?.device?.close()
 * ```
 */
export class StreamCourse {
  readonly #events: SessionEvent[] = []
  #report: Report | undefined

  /** Takes note of a part; most say nothing of the course. */
  hear(part: Part) {
    if (part.type !== 'text' || part.name === 'cancelled') return
    let value: unknown
    try {
      value = parseWire(part.text)
    } catch {
      return // The frame is sound, and somebody else wrote the text.
    }
    if (part.name === 'report') this.#report = reportOf(value) ?? this.#report
    else if (this.#events.length < most) {
      const event = eventOf(value)
      if (event) this.#events.push(event)
    }
  }

  /** The end that wrote the stream; `undefined` if the stream tells nothing of its course (`save --no-events`). */
  end({ objects }: Pick<Outline, 'objects'>): RunEnd | undefined {
    if (this.#events.length === 0 && this.#report === undefined) return undefined
    const known = objects.map(({ id, kind, protocol, capabilities }) => ({
      id,
      kind,
      ...(protocol === undefined ? {} : { protocol }),
      ...(capabilities === undefined ? {} : { capabilities }),
    }))
    const report = this.#report
    if (this.#events.length === 0 && report) return endOfReport(report, { objects: known })
    return endOfEvents('save', this.#events, { objects: known, ...(report ? { report } : {}) })
  }
}
