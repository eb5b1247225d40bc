import type { Phase } from '../session/report.ts'
import type { Alignment, Mark, Run, RunEnd } from './run.ts'

const moved = <T extends { readonly fromMicros: number; readonly toMicros: number }>(span: T, by: number): T => ({
  ...span,
  fromMicros: span.fromMicros + by,
  toMicros: span.toMicros + by,
})

const at = <T extends { readonly atMicros: number }>(one: T, by: number): T => ({ ...one, atMicros: one.atMicros + by })

/** The same end on another clock. */
const movedEnd = (end: RunEnd, by: number): RunEnd => ({
  ...moved(end, by),
  phases: end.phases.map((span) => moved(span, by)),
  ...(end.guest ? { guest: end.guest.map((span) => moved(span, by)) } : {}),
  objects: end.objects.map((object) => ({ ...object, states: object.states.map((span) => moved(span, by)) })),
  flow: end.flow.map((sample) => at(sample, by)),
  marks: end.marks.map((mark) => at(mark, by)),
})

const markAt = ({ marks }: RunEnd, what: Mark['what']) => marks.find((mark) => mark.what === what)?.atMicros
const phaseAt = ({ phases }: RunEnd, what: Phase) => phases.find((span) => span.what === what)?.fromMicros

/** The last moment at which a device came to a state. */
const lastCame = ({ objects }: RunEnd, to: string): number | undefined => {
  const all = objects.flatMap(({ states }) => states.flatMap((span) => (span.what === to ? [span.fromMicros] : [])))
  return all.length === 0 ? undefined : Math.max(...all)
}

/** By how much the destination's clock is behind the source's, and how that is known. */
const behind = (save: RunEnd, restore: RunEnd): readonly [number, Alignment] => {
  const givenUp = (end: RunEnd) => markAt(end, 'given-up') ?? phaseAt(end, 'taking-over')
  const [given, heard] = [givenUp(save), givenUp(restore)]
  if (given !== undefined && heard !== undefined) return [given - heard, 'given-up']
  // The source lets go of its devices as soon as it hears that the guest runs at the destination.
  const heardOf = phaseAt(save, 'finishing') ?? lastCame(save, 'stop')
  const runs = phaseAt(restore, 'finishing') ?? lastCame(restore, 'running')
  const completed = save.outcome === 'completed' && restore.outcome === 'completed'
  if (completed && heardOf !== undefined && runs !== undefined) return [heardOf - runs, 'taken-over']
  return [save.fromMicros - restore.fromMicros, 'start']
}

/**
 * A run from the ends that are known of it, in any order. Each has a clock of its own, unless `sameClock` says otherwise;
 * two ends of one side are two runs, of which the first is taken.
 */
export const runOf = (ends: readonly RunEnd[], { sameClock = false }: { readonly sameClock?: boolean } = {}): Run => {
  const save = ends.find(({ side }) => side === 'save')
  const restore = ends.find(({ side }) => side === 'restore')
  if (save === undefined || restore === undefined) return { ends: [save ?? restore].filter((end) => end !== undefined) }
  if (sameClock) return { ends: [save, restore], aligned: 'clock' }
  const [by, aligned] = behind(save, restore)
  return { ends: [save, movedEnd(restore, by)], aligned }
}
