/**
 * For each migration state, the states that may be asked for; the device walks the arcs between on its own. All types
 * of states and devices follow from this one table.
 *
 * @example
 * ```ts
 * import { targets } from 'vfio-migration'
 * targets['stop-copy'].includes('stop') // true
 * ```
 */
export const targets = {
  running: ['running-p2p', 'pre-copy', 'pre-copy-p2p', 'stop', 'stop-copy', 'resuming'],
  'running-p2p': ['running', 'pre-copy', 'pre-copy-p2p', 'stop', 'stop-copy', 'resuming'],
  'pre-copy': ['running', 'running-p2p', 'pre-copy-p2p', 'stop', 'stop-copy', 'resuming'],
  'pre-copy-p2p': ['running', 'running-p2p', 'pre-copy', 'stop', 'stop-copy', 'resuming'],
  stop: ['running', 'running-p2p', 'pre-copy', 'pre-copy-p2p', 'stop-copy', 'resuming'],
  'stop-copy': ['running', 'running-p2p', 'stop', 'resuming'], // never back to pre-copy
  resuming: ['running', 'running-p2p', 'pre-copy', 'pre-copy-p2p', 'stop', 'stop-copy'],
  error: [], // only reset() leaves it
} as const

/** A migration state, of either protocol. */
export type State = keyof typeof targets

/** A state that a device can be seen in: one that has a name here, or a number that this version does not know. */
export type SeenState = State | `unknown(${number})`

/**
 * What may be asked for in every one of the states `S`. An intersection, so that a handle of a widened type allows
 * less, not more.
 */
export type Next<S extends SeenState> = {
  [T in State]: [S] extends [{ [U in State]: T extends (typeof targets)[U][number] ? U : never }[State]] ? T : never
}[State]

/** What a device's migration may be capable of. Stop-copy is not among them: without it there is no migration. */
export type Capability = 'p2p' | 'pre-copy' | 'dirty-tracking'

/** What a state needs; states that are absent here are mandatory in every driver. */
export const needs = {
  'running-p2p': ['p2p'],
  'pre-copy': ['pre-copy'],
  'pre-copy-p2p': ['p2p', 'pre-copy'],
} as const satisfies Partial<Record<State, readonly Capability[]>>

type NeedOf<T extends State> = T extends keyof typeof needs ? (typeof needs)[T][number] : never

/** A compile error that reads as a sentence. */
export interface ArcError<Message extends string> {
  readonly __arc__: Message
}

/** `T`, or a sentence that says which test is missing: a handle that is known to be capable of `C` may ask for it. */
export type Allow<T extends State, C> = [NeedOf<T>] extends [C]
  ? T
  : ArcError<`'${T}' is optional: test device.supports('${NeedOf<T>}') first`>

/** Whether a text is the name of a state. */
export const isState = (text: string): text is State => Object.hasOwn(targets, text)
