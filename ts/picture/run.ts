// What a picture is drawn from: the course of a migration as one end saw it, or both. Where it comes from is a module for
// each source: `from-events.ts`, `from-report.ts`, `from-simulation.ts`, `from-stream.ts`; all times are on one clock, in
// microseconds.
import type { Downtime, Outcome, Phase, PreCopyEnd, Sample, Side } from '../session/report.ts'
import type { SeenState } from '../states.ts'

/** A span of time in which something was so. */
export interface Span<T> {
  readonly what: T
  readonly fromMicros: number
  /** Not before `fromMicros`. */
  readonly toMicros: number
}

/** Something that happened at one moment and is marked there. */
export interface Mark {
  readonly atMicros: number
  readonly what:
    | 'switchover'
    | 'given-up'
    | 'reset'
    | 'failed'
    | 'overdue'
    | 'in-doubt'
    | 'reinit'
    | 'tracker-lost'
    | 'too-late'
  /** The device or memory that it happened to, by its id. */
  readonly object?: string
  /** One sentence. */
  readonly text: string
}

/** A device, or a piece of guest memory, at one end. */
export interface RunObject {
  readonly id: string
  readonly kind: 'device' | 'memory'
  readonly protocol?: 'region' | 'fsm'
  /** `stop-copy+p2p+pre-copy`: absent where nobody said. */
  readonly capabilities?: string
  /** The states that the device was in, one after another without a gap; memory has none. */
  readonly states: readonly Span<SeenState>[]
  /** Payload bytes, those that were sent again included; absent is unknown. */
  readonly bytes?: bigint
  readonly outcome?: Outcome
  /** Resets during the run; absent is unknown. */
  readonly resets?: number
}

/** One end of a migration. */
export interface RunEnd {
  readonly side: Side
  /** When its session began. */
  readonly fromMicros: number
  /** When it ended, or how far it is known. */
  readonly toMicros: number
  /** Absent while it goes on, or where nobody said. */
  readonly outcome?: Outcome
  /** What went wrong first. */
  readonly failure?: string
  /** One after another without a gap. */
  readonly phases: readonly Span<Phase>[]
  /** When the guest ran here; absent where nobody said. */
  readonly guest?: readonly Span<'runs'>[]
  readonly objects: readonly RunObject[]
  /** Payload bytes of all objects over time, growing; empty where nobody said. */
  readonly flow: readonly Sample[]
  /** In order of time. */
  readonly marks: readonly Mark[]
  /** Payload bytes of all objects, those that were sent again included; absent is unknown. */
  readonly bytes?: bigint
  /** Payload bytes a second while data flowed. */
  readonly rate?: bigint
  readonly downtime?: Downtime
  readonly preCopyEnd?: PreCopyEnd
  /** Ids of the objects that kept pre-copy from converging. */
  readonly notConverged: readonly string[]
}

/**
 * How it is known when something at one end happened by the clock of the other: both had one `clock`; it was `given-up`
 * by the one and heard by the other; the guest ran at the destination when the source heard of it (`taken-over`); or
 * only that both began together (`start`).
 */
export type Alignment = 'clock' | 'given-up' | 'taken-over' | 'start'

/** A migration: the source, the destination, or both. */
export interface Run {
  /** One or two, the source first. */
  readonly ends: readonly RunEnd[]
  /** With two ends: how their clocks were put together. */
  readonly aligned?: Alignment
  /** Pages of guest memory that are not the same at both ends; absent is unknown. */
  readonly missedPages?: number
}

/** First and last moment of a run; 0 where there is none. */
export const extentOf = ({ ends }: Run): { readonly fromMicros: number; readonly toMicros: number } =>
  ends.length === 0
    ? { fromMicros: 0, toMicros: 0 }
    : {
        fromMicros: Math.min(...ends.map((end) => end.fromMicros)),
        toMicros: Math.max(...ends.map((end) => end.toMicros)),
      }

/** The downtime, where it was: the source knows all of it, a destination alone its own part. */
export const switchoverOf = ({ ends }: Run): Span<Side> | undefined => {
  for (const { side, phases, downtime, toMicros } of ends) {
    const start = phases.find(({ what }) => what === (side === 'save' ? 'pausing' : 'configuring'))
    if (start === undefined) continue
    const long = downtime?.totalMicros ?? toMicros - start.fromMicros
    return { what: side, fromMicros: start.fromMicros, toMicros: start.fromMicros + Math.max(0, long) }
  }
  return undefined
}

/** The name of an end for people. */
export const endName = (side: Side): string => (side === 'save' ? 'source' : 'destination')
