import { bytes, duration } from '../quantity.ts'
import type { Outcome } from '../session/report.ts'
import { whyPreCopyEnded } from './marks.ts'
import { endName, extentOf, type Run, switchoverOf } from './run.ts'

/** How many there are of something. */
export const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`

/** What became of one device, and of several. */
const came: Record<Outcome, readonly [one: string, several: string]> = {
  completed: ['moved', 'moved'],
  returned: ['went back to where it was', 'went back to where they were'],
  reset: ['was reset', 'were reset'],
  'in-doubt': ['is in doubt', 'are in doubt'],
  lost: ['is lost', 'are lost'],
}

/** The worst that either end came to. */
const worst: readonly Outcome[] = ['lost', 'in-doubt', 'reset', 'returned', 'completed']
export const outcomeOf = ({ ends }: Run): Outcome | undefined =>
  worst.find((one) => ends.some(({ outcome }) => outcome === one))

/** How many resets there were, at all ends. */
export const resetsOf = ({ ends }: Run): number =>
  ends.flatMap(({ objects }) => objects).reduce((sum, { resets = 0 }) => sum + resets, 0)

/** The ids of all devices of a run. */
export const devicesOf = ({ ends }: Run): string[] => [
  ...new Set(ends.flatMap(({ objects }) => objects.filter(({ kind }) => kind === 'device').map(({ id }) => id))),
]

/** What became of the devices, the worst last: `2 devices went back to where they were, 1 was reset`. */
const headlineOf = (run: Run): string => {
  const devices = devicesOf(run)
  const of = (id: string) =>
    worst.find((one) =>
      run.ends.some(({ objects }) => objects.some((object) => object.id === id && object.outcome === one)),
    )
  const all = devices.map((id) => of(id) ?? (devices.length === 1 ? outcomeOf(run) : undefined))
  const parts = worst.toReversed().flatMap((outcome) => {
    const count = all.filter((one) => one === outcome).length
    return count === 0 ? [] : [{ count, text: came[outcome][count === 1 ? 0 : 1] }]
  })
  const open = all.filter((one) => one === undefined).length
  if (open > 0) parts.push({ count: open, text: open === 1 ? 'has not ended' : 'have not ended' })
  const told = parts.map(({ count, text }, place) => `${place === 0 ? counted(count, 'device') : count} ${text}`)
  return told.length === 0 ? 'No device' : told.join(', ')
}

/** What a run came to, in sentences; the first is a headline. */
export const sentencesOf = (run: Run): string[] => {
  const { fromMicros, toMicros } = extentOf(run)
  const down = switchoverOf(run)
  const moved = run.ends.find(({ bytes: count }) => count !== undefined)?.bytes
  return [
    `${headlineOf(run)}.`,
    `${moved === undefined ? 'It took' : `${bytes(moved)} in`} ${duration(toMicros - fromMicros)}.`,
    ...(down ? [`No guest ran for ${duration(down.toMicros - down.fromMicros)}.`] : []),
    `${counted(resetsOf(run), 'reset')}.`,
    ...run.ends.flatMap(({ preCopyEnd }) =>
      preCopyEnd === undefined ? [] : [`Pre-copy ended: ${whyPreCopyEnded(preCopyEnd)}.`],
    ),
    ...run.ends.flatMap(({ side, failure }) =>
      failure === undefined ? [] : [`Failed at the ${endName(side)}: ${failure}.`],
    ),
  ]
}
