import { endOfEvents } from '../../picture/from-events.ts'
import { runOf } from '../../picture/joining.ts'
import type { Run, RunEnd } from '../../picture/run.ts'
import type { Side } from '../../session/report.ts'
import type { Course } from './course.ts'
import type { Verdict } from './verdict.ts'

/**
 * The run of a demo, of which more is known than of others: where the guest ran, and which pages were missed. When an
 * event was heard is no measure of when it happened, so that the ends are put together as those of any run.
 */
export const runOfDemo = (course: Course, { missedPages }: Verdict): Run => {
  const zero = Math.min(...Object.values(course).map(({ started }) => started ?? Number.POSITIVE_INFINITY))
  const micros = (ms: number) => Math.round((ms - zero) * 1000)
  const ends = (['save', 'restore'] as const).flatMap((side: Side): RunEnd[] => {
    const { started, result, events, guest } = course[side]
    if (started === undefined) return []
    return [
      endOfEvents(side, events, {
        startedMicros: micros(started),
        guest: guest.map(({ what, from, to }) => ({ what, fromMicros: micros(from), toMicros: micros(to) })),
        ...(result?.report ? { report: result.report } : {}),
      }),
    ]
  })
  return { ...runOf(ends), ...(missedPages === null ? {} : { missedPages }) }
}
