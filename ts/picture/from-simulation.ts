import type { Side } from '../session/report.ts'
import type { Course } from '../simulation/course.ts'
import { endOfEvents } from './from-events.ts'
import { runOf } from './joining.ts'
import type { Run, RunEnd, Span } from './run.ts'

/** When the guest ran at an end. */
const guestOf = ({ moments, tookMicros }: Course, side: Side): Span<'runs'>[] => {
  const spans: Span<'runs'>[] = []
  let since: number | undefined
  for (const { atMicros, then } of moments) {
    const runs = then[side].guest
    if (runs && since === undefined) since = atMicros
    if (runs || since === undefined) continue
    spans.push({ what: 'runs', fromMicros: since, toMicros: atMicros })
    since = undefined
  }
  if (since !== undefined) spans.push({ what: 'runs', fromMicros: since, toMicros: tookMicros })
  return spans
}

const endOf = (course: Course, side: Side): RunEnd | undefined => {
  const here = course.moments.filter((moment) => moment.side === side)
  const [first, last] = [here[0], here.at(-1)]
  if (first === undefined || last === undefined) return undefined
  const events = here.flatMap((moment) => (moment.type === 'event' ? [moment.event] : []))
  const report = course.reports[side]
  return endOfEvents(side, events, {
    startedMicros: first.atMicros,
    untilMicros: last.atMicros,
    objects: course.devices.map((device) => ({ ...device, kind: 'device' })),
    guest: guestOf(course, side),
    ...(report ? { report } : {}),
  })
}

/**
 * The run of a simulated migration: both ends on the virtual clock. What really happened to the guest is known; what
 * devices did is what their sessions said of it.
 */
export const runOfCourse = (course: Course): Run => {
  const ends = [endOf(course, 'save'), endOf(course, 'restore')].filter((end) => end !== undefined)
  const run = runOf(ends, { sameClock: true })
  return course.arrived ? { ...run, missedPages: 0 } : run
}
