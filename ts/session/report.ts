import type { AnyDevice } from '../device.ts'
import type { SeenState } from '../states.ts'
import type { CourseEvent } from './events.ts'

/** Which end of a migration: the source saves, the destination restores. */
export type Side = 'save' | 'restore'

/**
 * How a session ended for a device, from best to worst: it has moved; it is where the session found it, or in the
 * running state that the report names; it was reset, and what was in it is gone; it cannot be known which end has it;
 * it neither moved nor can be brought back.
 */
export type Outcome = 'completed' | 'returned' | 'reset' | 'in-doubt' | 'lost'

/** Why pre-copy ended. */
export type PreCopyEnd = 'converged' | 'max-pre-copy' | 'requested' | 'nothing-to-pre-copy'

/** What a session is doing, in the order of a migration. */
export type Phase =
  | 'checking'
  | 'preparing'
  | 'pre-copy'
  | 'loading'
  | 'pausing'
  | 'grace'
  | 'stopping'
  | 'draining'
  | 'configuring'
  | 'loaded'
  | 'taking-over'
  | 'finishing'
  | 'returning'
  | 'in-doubt'
  | 'ended'

/** The switchover and its parts, in microseconds. A part that this end cannot see is 0. */
export interface Downtime {
  /** From the start of `pause` until the destination said running; a one-way session knows only its own part. */
  readonly totalMicros: number
  /** The pause hook. */
  readonly pauseMicros: number
  /** All devices into their grace states. */
  readonly graceMicros: number
  /** All devices into stop-copy, and the last read of the trackers. */
  readonly stopMicros: number
  /** The rest of the data. */
  readonly drainMicros: number
  /** Until the destination had loaded everything. */
  readonly loadMicros: number
  /** Until the destination said running. */
  readonly takeOverMicros: number
}

/** One state on a device's way. */
export interface Step {
  readonly state: SeenState
  /** Microseconds since the session started. */
  readonly atMicros: number
}

/** How many bytes had moved by a moment. */
export interface Sample {
  /** Microseconds since the session started. */
  readonly atMicros: number
  /** Payload bytes of all objects, those that were sent again included. */
  readonly bytes: bigint
}

/** How it went for one object: a device, or a piece of guest memory. */
export interface ObjectReport {
  readonly id: string
  /** Absent for memory. */
  readonly protocol?: 'region' | 'fsm'
  /** What the device is capable of, as `stop-copy+p2p`. Absent for memory. */
  readonly capabilities?: string
  /** Absent for memory. */
  readonly outcome?: Outcome
  /** What the device says now. */
  readonly state?: SeenState
  /** Payload bytes, those that were sent again included. */
  readonly bytes: bigint
  /** Every state the device was seen in, the one it was found in first. */
  readonly walked: readonly Step[]
  /** How often the device was reset during the session. */
  readonly resets: number
  /** Whether the device counted the resets itself; otherwise it is what we asked for. */
  readonly resetsCountedByDevice: boolean
  /** What the device said it would give in stop-copy, when the session began; absent is unknown. */
  readonly expected?: bigint
  /**
   * Restore: whether the device had left resuming, which is where drivers validate, when the session said `loaded`.
   * `false` for a region device that leaves resuming only towards running: `loaded` says of it only that everything was
   * written. Absent if it never came to that.
   */
  readonly validated?: boolean
}

/** The course of one end of a migration. */
export interface Report {
  readonly side: Side
  /** The worst outcome of all devices. */
  readonly outcome: Outcome
  /** What went wrong first. */
  readonly failure?: string
  /** From the start of the session to its end. */
  readonly totalMicros: number
  /** Payload bytes of all objects, those that were sent again included. */
  readonly bytes: bigint
  /** Payload bytes a second over the time in which data flowed. */
  readonly rate?: bigint
  /** Absent if it never came to a switchover. */
  readonly downtime?: Downtime
  /** Absent if pre-copy never began or never ended. */
  readonly preCopyEnd?: PreCopyEnd
  /** Ids of the objects that kept pre-copy from converging. */
  readonly notConverged: readonly string[]
  /** One an object, in the order of the stream's table. */
  readonly objects: readonly ObjectReport[]
  /**
   * What happened, in order: all events but changes of state, which stand with the objects, and progress, which `flow`
   * sums up. Phases all, of the rest the first 1000.
   */
  readonly course: readonly CourseEvent[]
  /** Payload bytes over time, from when the first moved until the last had: about 256 samples at most. */
  readonly flow: readonly Sample[]
}

/** A device after a session. */
export interface FinishedDevice {
  readonly id: string
  /** How the session ended for it. */
  readonly outcome: Outcome
  /** A live handle, unless the device was closed meanwhile. */
  readonly device?: AnyDevice
}

/** What a session leaves behind. */
export interface Summary extends Report {
  /** One a device, in the order given. */
  readonly devices: readonly FinishedDevice[]
}
