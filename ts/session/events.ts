import type { SeenState } from '../states.ts'
import type { Outcome, Phase, PreCopyEnd, Side } from './report.ts'

/** What was done, and when. */
interface At {
  /** Microseconds since the session started. */
  readonly atMicros: number
}

/** The session entered a phase. */
export interface PhaseEvent extends At {
  readonly type: 'phase'
  readonly side: Side
  readonly phase: Phase
}

/** A device changed its state, or was found in it. Never dropped. */
export interface StateEvent extends At {
  readonly type: 'state'
  readonly device: string
  /** Absent if this is how the device was found. */
  readonly from?: SeenState
  readonly to: SeenState
  /** How long the call took. */
  readonly tookMicros: number
  /** How it was found, the way forward, the way back, or where a request that failed left it. */
  readonly cause: 'found' | 'forward' | 'back' | 'failure'
}

/** A device was reset. */
export interface ResetEvent extends At {
  readonly type: 'reset'
  readonly device: string
  /** Absent if the reset failed. */
  readonly now?: SeenState
}

/** Bytes have arrived. May be merged: the newest one says it all. */
export interface ProgressEvent extends At {
  readonly type: 'progress'
  readonly object: string
  /** Bytes of the object that have arrived so far, those that were sent again included. */
  readonly bytes: bigint
  /** What pre-copy has left of it, or what is left in all after that; absent is unknown. */
  readonly left?: bigint
  /** Bytes a second, all objects together. */
  readonly rate?: bigint
}

/** Pre-copy has ended. */
export interface SwitchoverEvent extends At {
  readonly type: 'switchover'
  readonly reason: PreCopyEnd
  /** What was left to do; absent is unknown. */
  readonly left?: bigint
}

/** A device has new initial data. */
export interface ReinitEvent extends At {
  readonly type: 'reinit'
  readonly device: string
  readonly generation: number
}

/** A tracker lost its log: all of guest memory counts as dirty. */
export interface TrackerLostEvent extends At {
  readonly type: 'tracker-lost'
  /** Its place in the list of trackers. */
  readonly tracker: number
  readonly why: string
}

/** A call or a hook will not end. */
export interface OverdueEvent extends At {
  readonly type: 'overdue'
  readonly object: string
  readonly call: string
}

/** Something failed. */
export interface FailedEvent extends At {
  readonly type: 'failed'
  readonly object?: string
  readonly what: string
}

/** The guest was given up: from here on the destination owns it. */
export interface GivenUpEvent extends At {
  readonly type: 'given-up'
}

/** It cannot be known who owns the guest; everything is kept until the caller decides. */
export interface InDoubtEvent extends At {
  readonly type: 'in-doubt'
  readonly why: string
}

/** How it ended for a device. */
export interface EndedEvent extends At {
  readonly type: 'ended'
  readonly device: string
  readonly outcome: Outcome
  readonly state?: SeenState
}

/** One thing that the engine tells of a session. */
export type EngineEvent =
  | PhaseEvent
  | StateEvent
  | ResetEvent
  | ProgressEvent
  | SwitchoverEvent
  | ReinitEvent
  | TrackerLostEvent
  | OverdueEvent
  | FailedEvent
  | GivenUpEvent
  | InDoubtEvent
  | EndedEvent

/** An event that a report keeps; it says the others in another way. */
export type CourseEvent = Exclude<EngineEvent, StateEvent | ProgressEvent | EndedEvent>

/** A restore waits for its source. */
export interface ListeningEvent {
  readonly type: 'listening'
  /** Where, with the port that it got: `tcp:localhost:40123`. */
  readonly address: string
}

/** The caller's signal was aborted after the guest was given up: too late, the session goes on. */
export interface TooLateEvent {
  readonly type: 'too-late'
  readonly why: string
}

/** One thing that happened in a session. Tell them apart by `type`. */
export type SessionEvent = EngineEvent | ListeningEvent | TooLateEvent
