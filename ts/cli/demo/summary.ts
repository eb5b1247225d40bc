import type { Downtime, ObjectReport } from '../../session/report.ts'
import type { Paint } from '../paint.ts'
import { bytes, duration } from '../quantity.ts'
import type { Course, EndCourse } from './course.ts'
import { timeline } from './timeline.ts'
import type { Verdict } from './verdict.ts'

const why = {
  converged: 'what was left fitted the downtime budget',
  'max-pre-copy': 'it took as long as it may',
  requested: 'it was asked for',
  'nothing-to-pre-copy': 'nothing could be moved while the guest ran',
} as const

const downtimeParts = (downtime: Downtime) =>
  (
    [
      ['pause', downtime.pauseMicros],
      ['grace', downtime.graceMicros],
      ['stop', downtime.stopMicros],
      ['drain', downtime.drainMicros],
      ['load', downtime.loadMicros],
      ['take over', downtime.takeOverMicros],
    ] as const
  )
    .map(([part, micros]) => `${part} ${(micros / 1000).toFixed(1)}`)
    .join(' + ')

const walked = ({ walked: steps }: ObjectReport) => {
  const all = steps.map((step) => step.state)
  return all.filter((state, place) => state !== all[place - 1]).join(' → ')
}

const paths = (title: string, end: EndCourse, paint: Paint, width: number) =>
  (end.result?.report?.objects ?? [])
    .filter((object) => object.walked.length > 0)
    .map(
      (object, place) =>
        `  ${(place === 0 ? title : '').padEnd(12)}${paint.dim(object.id.padEnd(width))}  ${walked(object)}`,
    )

/** What a demo shows at its end. */
export const summary = (
  course: Course,
  verdict: Verdict,
  { title, width, paint }: { readonly title: string; readonly width: number; readonly paint: Paint },
): string[] => {
  const report = course.save.result?.report
  const fact = (name: string, text: string) => `  ${name.padEnd(12)}${text}`
  const proof = (good: boolean, text: string) =>
    good ? `${paint.green('✔')} ${text}` : `${paint.red('✘')} ${paint.red(text)}`
  const names = Math.max(0, ...(report?.objects ?? []).map((object) => object.id.length))
  const devices = course.save.result?.stopped.length ?? 0
  const { failure, missedPages } = verdict
  return [
    '',
    `  ${paint.bold(title)}`,
    '',
    ...timeline(course, width - 2, paint).map((line) => `  ${line}`.trimEnd()),
    '',
    ...(report
      ? [
          fact(
            'moved',
            `${bytes(report.bytes)} in ${duration(report.totalMicros)}${report.rate ? `, ${bytes(report.rate)}/s while data flowed` : ''}`,
          ),
          ...(report.downtime
            ? [fact('downtime', `${duration(report.downtime.totalMicros)} = ${downtimeParts(report.downtime)}`)]
            : []),
          ...(report.preCopyEnd ? [fact('pre-copy', `ended: ${why[report.preCopyEnd]}`)] : []),
        ]
      : []),
    ...paths('source', course.save, paint, names),
    ...paths('destination', course.restore, paint, names),
    fact('resets', failure ? String(verdict.resets) : proof(verdict.resets === 0, String(verdict.resets))),
    '',
    ...(failure
      ? [
          fact(
            'failed',
            paint.red(
              `${failure.code} at the ${failure.side === 'save' ? 'source' : 'destination'}: ${failure.message}`,
            ),
          ),
          ...(course.save.guest.at(-1)?.to === Number.POSITIVE_INFINITY
            ? [fact('guest', 'runs at the source again')]
            : []),
        ]
      : [
          fact(
            'data',
            proof(
              verdict.identicalDevices === devices,
              `identical: ${verdict.identicalDevices} of ${devices} ${devices === 1 ? 'device' : 'devices'}`,
            ),
          ),
          fact(
            'memory',
            proof(
              missedPages === 0,
              `identical: ${verdict.pages - (missedPages ?? verdict.pages)} of ${verdict.pages} pages, ${missedPages ?? 'unknown'} missed`,
            ),
          ),
          fact('counter', proof(verdict.counterContinued, counters(course))),
        ]),
    '',
    `  identical: ${verdict.identical ? paint.green('true') : paint.red('false')}`,
  ]
}

const counters = ({ save, restore }: Course) => {
  const [held, now] = [save.result?.stopped[0]?.counter, restore.result?.counters[0]]
  return `went from ${held ?? 'unknown'} at the source on to ${now ?? 'unknown'} at the destination`
}
