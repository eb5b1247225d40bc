import { bytes, duration } from '../quantity.ts'
import type { Report } from '../session/report.ts'
import { facts } from './dom.ts'

/** What a report says, in short. */
export const reportFacts = (report: Report): HTMLElement => {
  const { side, outcome, failure, totalMicros, rate, downtime, preCopyEnd, objects } = report
  return facts([
    ['end', side === 'save' ? 'source (save)' : 'destination (restore)'],
    ['outcome', outcome],
    ['failure', failure],
    ['took', duration(totalMicros)],
    ['moved', `${bytes(report.bytes)} (${report.bytes})`],
    ['rate', rate === undefined ? undefined : `${bytes(rate)}/s`],
    ['downtime', downtime && duration(downtime.totalMicros)],
    ['pre-copy ended', preCopyEnd],
    ['objects', objects.map(({ id }) => id).join(', ')],
  ])
}
