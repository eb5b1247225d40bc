import { usage } from '../errors.ts'
import type { EngineEvent, SessionEvent } from '../session/events.ts'
import type { Report } from '../session/report.ts'
import { parseWire } from '../session/wire.ts'
import { type EndFacts, endOfEvents } from './from-events.ts'
import { reportOf } from './reading.ts'
import type { RunEnd } from './run.ts'

/** What a report tells of, as the events that it was made of, in order of time. */
const eventsIn = ({ objects, course }: Report): SessionEvent[] => {
  const walked = objects.flatMap(({ id, walked: steps }) =>
    steps.map(({ state, atMicros }, place): EngineEvent => {
      const from = steps[place - 1]?.state
      const cause = from === undefined ? 'found' : 'forward'
      return { type: 'state', device: id, ...(from ? { from } : {}), to: state, atMicros, tookMicros: 0, cause }
    }),
  )
  return [...course, ...walked].sort((one, other) => one.atMicros - other.atMicros)
}

/** One end of a run from the report that its session left behind. */
export const endOfReport = (report: Report, facts: Omit<EndFacts, 'report'> = {}): RunEnd =>
  endOfEvents(report.side, eventsIn(report), { ...facts, report })

/**
 * The report in a file that `--report` or `--json` wrote.
 *
 * @throws VfioError `ERR_VFIO_USAGE` if it is none
 */
export const parseReport = (json: string): Report => {
  let value: unknown
  try {
    value = parseWire(json)
  } catch {
    throw usage('this is no report: it is not JSON', { remedy: 'give a file that --report has written' })
  }
  const report = reportOf(value)
  if (report === undefined) {
    throw usage('this is no report of a save or a restore', { remedy: 'give a file that --report has written' })
  }
  return report
}
