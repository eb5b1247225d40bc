import type { SessionEvent } from '../session/events.ts'
import type { Phase, Report, Side } from '../session/report.ts'
import type { SeenState } from '../states.ts'

/** Where a device really is. */
export type Place = SeenState | 'gone'

/** How things stand at one end, as they really are. */
export interface EndSituation {
  /** What its session is doing; absent before it has said anything. */
  readonly phase?: Phase
  /** Whether the guest runs here. */
  readonly guest: boolean
  /** Where each device is, in the scenario's order. */
  readonly devices: readonly Place[]
  /** Bytes of payload: at the source those that were sent, at the destination those that were written to an object. */
  readonly bytes: bigint
  /** Whether it is in doubt. */
  readonly inDoubt: boolean
  /** Whether its session is over, or its host died. */
  readonly over: boolean
}

/** How things stand. */
export interface Situation {
  /**
   * Who owns the guest by the rules of a session: the source, the destination, or, once the guest was given up and the
   * destination does not have it, neither can be said to.
   */
  readonly owner: Side | 'open'
  readonly save: EndSituation
  readonly restore: EndSituation
}

/** What happened. Tell them apart by `type`. */
export type MomentKind =
  /** Everything is as the sessions find it. */
  | { readonly type: 'begins' }
  /** An end carries out what its session wants. Faults and wishes name `number`. */
  | { readonly type: 'step'; readonly number: number; readonly does: string; readonly of?: string }
  /** A call returns, and the session hears what came of it. */
  | {
      readonly type: 'answered'
      readonly call: string
      readonly of?: string
      readonly answer: string
      readonly failed: boolean
    }
  /** A message goes onto the link. Faults name `direction` and `number`. */
  | {
      readonly type: 'sent'
      readonly direction: 'forward' | 'back'
      readonly number: number
      readonly message: string
      readonly of?: string
      readonly bytes: bigint
    }
  /** A session hears a message. */
  | { readonly type: 'received'; readonly message: string; readonly of?: string; readonly bytes: bigint }
  /** What came is damaged, or an end learns that the connection has ended. */
  | { readonly type: 'damaged' | 'disconnected'; readonly why: string }
  /** One-way: a chunk has left its sender. */
  | { readonly type: 'left' }
  /** A device is in another state now. Nobody tells its session before it asks. */
  | { readonly type: 'changed'; readonly of: string; readonly from: Place; readonly to: Place }
  /** The guest runs now, or does not any more. */
  | { readonly type: 'guest'; readonly runs: boolean }
  /** A session tells its observer something. Its times count from the start of its session. */
  | { readonly type: 'event'; readonly event: SessionEvent }
  /** Something goes wrong, as the scenario says. */
  | { readonly type: 'fault'; readonly fault: string }
  /** The caller of an end wishes something. `refused` is why the session does not follow. */
  | { readonly type: 'wish'; readonly wish: string; readonly refused?: string }
  /** A file has got its name, and a restore starts from it; a session is over. */
  | { readonly type: 'file-there' | 'finished' }
  /** A rule was broken. */
  | { readonly type: 'broken'; readonly rule: string; readonly what: string }

/** One thing that happened, and how things stood then. */
export type Moment = MomentKind & {
  /** On the virtual clock. */
  readonly atMicros: number
  /** At which end; absent for the world between them. */
  readonly side?: Side
  /** The moment in words. */
  readonly text: string
  /** How things stood once it had happened. The same object as long as nothing changes. */
  readonly then: Situation
}

/** A rule of a session that was broken. */
export interface Broken {
  readonly atMicros: number
  /** What must hold in every run. */
  readonly rule: string
  readonly what: string
}

/** What a simulated migration leaves behind. */
export interface Course {
  /** The scenario's text, which replays it. */
  readonly scenario: string
  /** The devices, the same at both ends. `capabilities` as in a scenario: `stop-copy+p2p`. */
  readonly devices: readonly {
    readonly id: string
    readonly protocol: 'fsm' | 'region'
    readonly capabilities: string
  }[]
  /** How long it took on the virtual clock. */
  readonly tookMicros: number
  /** What happened, in order. */
  readonly moments: readonly Moment[]
  /** What the sessions report, as far as they have ended. */
  readonly reports: { readonly save?: Report; readonly restore?: Report }
  /** Which rules of a session were broken: none, unless a device or a caller lies. */
  readonly broken: readonly Broken[]
  /** Whether what arrived was what left; absent if it never came to that. */
  readonly arrived?: boolean
}
