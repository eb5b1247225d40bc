import { usage } from '../errors.ts'
import { runOfCourse } from '../picture/from-simulation.ts'
import { endName } from '../picture/run.ts'
import { isOutline } from '../simulation/outline.ts'
import { type Course, type Moment, simulate } from '../simulation.ts'
import type { Arguments } from './arguments.ts'
import { status } from './exit.ts'
import { wantedPicture } from './html.ts'
import { Output } from './output.ts'
import type { Paint } from './paint.ts'
import { duration } from './quantity.ts'
import { table } from './table.ts'

const isBad = (moment: Moment) =>
  moment.type === 'fault' || moment.type === 'broken' || (moment.type === 'answered' && moment.failed)

const lineOf = (moment: Moment, { red, dim }: Paint): string[] => [
  `${moment.atMicros}`.padStart(9),
  moment.side === undefined ? '' : endName(moment.side),
  isBad(moment) ? red(moment.text) : moment.type === 'event' ? dim(moment.text) : moment.text,
]

/** Where the guest is in the end, in words. */
const guestOf = ({ moments }: Course): string => {
  const last = moments.at(-1)?.then
  if (last === undefined) return 'nowhere'
  const owner = last.owner === 'open' ? 'in doubt who owns it' : `owned by the ${endName(last.owner)}`
  const runs = (['save', 'restore'] as const).filter((side) => last[side].guest).map((side) => endName(side))
  return `${owner}, ${runs.length > 0 ? `runs at the ${runs.join(' and the ')}` : 'runs nowhere'}`
}

const linesOf = (course: Course, all: boolean, paint: Paint): string[] => {
  const { moments, reports, broken, tookMicros, scenario } = course
  const ends = (['save', 'restore'] as const).map((side) => {
    const report = reports[side]
    const outcome = report ? `${report.outcome}${report.failure ? `: ${report.failure}` : ''}` : 'has not ended'
    return `${endName(side)}: ${outcome}`
  })
  return [
    ...table(moments.filter((moment) => all || isOutline(moment)).map((moment) => lineOf(moment, paint))),
    '',
    ...ends,
    `guest: ${guestOf(course)}`,
    `took ${duration(tookMicros)} of the virtual clock`,
    ...broken.map(({ rule, what }) => paint.red(`broken: ${rule}: ${what}`)),
    `replay: vfio-migration simulate '${scenario}'`,
  ]
}

/** `simulate WORD=VALUE...` */
export const runSimulate = async ({ operands, values }: Arguments): Promise<number> => {
  if (operands.length === 0) throw usage("simulate needs a scenario, such as 'seed=7 fault=save:12:fails(5)'")
  if (values.has('force') && !values.has('html')) throw usage('simulate --force goes with --html')
  const output = new Output(values)
  const drawn = await wantedPicture(values)
  const course = simulate(operands.join(' '))
  await drawn?.write(runOfCourse(course), course.scenario)
  const ok = course.broken.length === 0
  output.result(linesOf(course, values.has('moments'), output.paint), { ok, course })
  return ok ? status.done : status.failed
}
