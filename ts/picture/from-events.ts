import type { SessionEvent } from '../session/events.ts'
import type { Outcome, Phase, Report, Sample, Side } from '../session/report.ts'
import type { SeenState } from '../states.ts'
import { markOf } from './marks.ts'
import type { Mark, RunEnd, RunObject, Span } from './run.ts'

/** What is known of an object besides what its session said. */
export type KnownObject = Pick<RunObject, 'id' | 'kind' | 'protocol' | 'capabilities'>

/** What is known of an end besides its events. */
export interface EndFacts {
  /** What the session left behind, once it has ended. */
  readonly report?: Report
  /** When its session began, on the clock of the run, in microseconds. @default 0 */
  readonly startedMicros?: number
  /** How far it is known, on the clock of the run, where that is later than its last event. */
  readonly untilMicros?: number
  readonly objects?: readonly KnownObject[]
  /** When the guest ran here, on the clock of the run; the last span may go on to infinity. */
  readonly guest?: readonly Span<'runs'>[]
}

interface Began<T> {
  readonly what: T
  readonly at: number
}

/** What events have told of an object so far. */
interface Told {
  kind: RunObject['kind']
  readonly states: Began<SeenState>[]
  bytes: bigint
  resets: number
  outcome?: Outcome
}

/** Spans from the moments at which they began; the last one ends with the run. */
const spansOf = <T>(began: readonly Began<T>[], end: number): Span<T>[] =>
  began.map(({ what, at }, place) => ({ what, fromMicros: at, toMicros: began[place + 1]?.at ?? Math.max(at, end) }))

/** From best to worst. */
const outcomes: readonly Outcome[] = ['completed', 'returned', 'reset', 'in-doubt', 'lost']

/** Listens to the events of one session. */
class Listener {
  readonly objects = new Map<string, Told>()
  readonly phases: Began<Phase>[] = []
  readonly marks: Mark[] = []
  readonly flow: Sample[] = []
  #moved = 0n
  now: number

  constructor(start: number) {
    this.now = start
  }

  object(id: string, kind: RunObject['kind']): Told {
    const told = this.objects.get(id) ?? { kind, states: [], bytes: 0n, resets: 0 }
    if (kind === 'device') told.kind = kind
    this.objects.set(id, told)
    return told
  }

  hear(event: SessionEvent) {
    const mark = markOf(event)
    if (mark) this.marks.push({ atMicros: this.now, ...mark })
    switch (event.type) {
      case 'phase':
        this.phases.push({ what: event.phase, at: this.now })
        break
      case 'state':
        this.#enter(this.object(event.device, 'device'), event.to)
        break
      case 'reset': {
        const told = this.object(event.device, 'device')
        told.resets += 1
        // Where a reset leaves a device no event of a state need say.
        if (event.now !== undefined) this.#enter(told, event.now)
        break
      }
      case 'progress': {
        const told = this.object(event.object, 'memory')
        if (event.bytes > told.bytes) this.#move(told, event.bytes)
        break
      }
      case 'ended':
        this.object(event.device, 'device').outcome = event.outcome
        break
      default:
    }
  }

  #enter({ states }: Told, state: SeenState) {
    if (states.at(-1)?.what !== state) states.push({ what: state, at: this.now })
  }

  #move(told: Told, bytes: bigint) {
    if (this.flow.length === 0) this.flow.push({ atMicros: this.phases.at(-1)?.at ?? this.now, bytes: 0n })
    this.#moved += bytes - told.bytes
    told.bytes = bytes
    this.flow.push({ atMicros: this.now, bytes: this.#moved })
  }

  /** The worst outcome of the devices, once all of them have one. */
  outcome(): Outcome | undefined {
    const devices = [...this.objects.values()].filter(({ kind }) => kind === 'device')
    const all = devices.map(({ outcome }) => outcome)
    if (all.length === 0 || all.includes(undefined)) return undefined
    return outcomes.findLast((one) => all.includes(one))
  }
}

/** Samples whose times and bytes never fall: those of a file may. */
const growing = (samples: readonly Sample[]): Sample[] => {
  let [now, moved] = [0, 0n]
  return samples.map(({ atMicros, bytes }) => {
    now = Math.max(now, atMicros)
    if (bytes > moved) moved = bytes
    return { atMicros: now, bytes: moved }
  })
}

/** Without what is undefined. */
const defined = <T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as never

/**
 * One end of a run from the events of its session, live or read from somewhere: call it again when there are more. Times
 * that go back, as those of a file may, count as the latest one before.
 */
export const endOfEvents = (
  side: Side,
  events: Iterable<SessionEvent>,
  { report, startedMicros: start = 0, untilMicros = start, objects: known = [], guest }: EndFacts = {},
): RunEnd => {
  const listener = new Listener(start)
  // In the order of the stream's table, at both ends the same: events come as they happen.
  for (const { id, kind } of known) listener.object(id, kind)
  const reports = new Map(report?.objects.map((one) => [one.id, one]))
  for (const { id, outcome } of reports.values()) listener.object(id, outcome === undefined ? 'memory' : 'device')
  for (const event of events) {
    if ('atMicros' in event) listener.now = Math.max(listener.now, start + event.atMicros)
    listener.hear(event)
  }
  const end = Math.max(listener.now, untilMicros, start + (report?.totalMicros ?? 0))
  const facts = new Map(known.map(({ kind: _, ...rest }) => [rest.id, rest]))
  const objects = [...listener.objects].map(([id, told]): RunObject => {
    const said = reports.get(id)
    return {
      id,
      kind: told.kind,
      states: spansOf(told.states, end),
      ...defined({
        protocol: facts.get(id)?.protocol ?? said?.protocol,
        capabilities: facts.get(id)?.capabilities ?? said?.capabilities,
        bytes: said?.bytes ?? (told.bytes > 0n ? told.bytes : undefined),
        outcome: said?.outcome ?? told.outcome,
        resets: told.kind === 'device' ? Math.max(told.resets, said?.resets ?? 0) : undefined,
      }),
    }
  })
  // Progress is told every now and then; what the report has is finer, and complete.
  const flow = growing(report?.flow.map((sample) => ({ ...sample, atMicros: start + sample.atMicros })) ?? [])
  const moved = listener.flow.at(-1)?.bytes
  return {
    side,
    fromMicros: start,
    toMicros: end,
    phases: spansOf(listener.phases, end),
    objects,
    flow: flow.length > 0 ? flow : listener.flow,
    marks: listener.marks,
    notConverged: report?.notConverged ?? [],
    ...defined({
      outcome: report?.outcome ?? listener.outcome(),
      failure: report?.failure ?? listener.marks.find(({ what }) => what === 'failed')?.text,
      guest: guest?.map((span) => ({ ...span, toMicros: Math.max(span.fromMicros, Math.min(span.toMicros, end)) })),
      bytes: report?.bytes ?? moved,
      rate: report?.rate,
      downtime: report?.downtime,
      preCopyEnd: report?.preCopyEnd,
    }),
  }
}
