// Events and reports that somebody else has written: into a file, or on the other end of a connection. What is not as our
// own engine writes it is left out, so that whatever a file says, a picture can be drawn.
import type { CourseEvent, SessionEvent } from '../session/events.ts'
import type {
  Downtime,
  ObjectReport,
  Outcome,
  Phase,
  PreCopyEnd,
  Report,
  Sample,
  Side,
  Step,
} from '../session/report.ts'
import { isState, type SeenState } from '../states.ts'
import { phaseKinds } from './palette.ts'

/** Reads one value: `undefined` if it is not what it should be. */
type Reader<T> = (value: unknown) => T | undefined

/** Longest text that is kept, in characters: a picture has no use for more. */
const longest = 1000

const text: Reader<string> = (value) => (typeof value === 'string' ? value.slice(0, longest) : undefined)

/** A number from 0 on. One that no double can hold comes as a text. */
const number: Reader<number> = (value) => {
  const one = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  return typeof one === 'number' && Number.isFinite(one) && one >= 0 ? one : undefined
}

const count: Reader<bigint> = (value) =>
  typeof value === 'bigint' ? (value >= 0n ? value : undefined) : number(value) === undefined ? undefined : bigOf(value)

const bigOf = (value: unknown) => {
  try {
    return BigInt(value as string | number)
  } catch {
    return undefined
  }
}

const state: Reader<SeenState> = (value) =>
  typeof value === 'string' && (isState(value) || /^unknown\(\d{1,10}\)$/.test(value))
    ? (value as SeenState)
    : undefined

const oneOf =
  <T extends string>(...all: readonly T[]): Reader<T> =>
  (value) =>
    all.includes(value as T) ? (value as T) : undefined

const side = oneOf<Side>('save', 'restore')
const phase = oneOf(...(Object.keys(phaseKinds) as Phase[]))
const outcome = oneOf<Outcome>('completed', 'returned', 'reset', 'in-doubt', 'lost')
const reason = oneOf<PreCopyEnd>('converged', 'max-pre-copy', 'requested', 'nothing-to-pre-copy')
const cause = oneOf('found', 'forward', 'back', 'failure')

/** A field that may be absent. */
const maybe = <T>(read: Reader<T>) => ({ read, absent: true }) as const
type Field = Reader<unknown> | { readonly read: Reader<unknown>; readonly absent: true }

/** The fields of an object, if those that must be there are there; others are left out. */
const fieldsOf = (value: unknown, fields: Readonly<Record<string, Field>>): object | undefined => {
  if (typeof value !== 'object' || value === null) return undefined
  const read: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    const given = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
    const one = (typeof field === 'function' ? field : field.read)(given)
    if (one !== undefined) read[name] = one
    else if (typeof field === 'function') return undefined
  }
  return read
}

const at = { atMicros: number }

const events: { readonly [T in SessionEvent['type']]: Readonly<Record<string, Field>> } = {
  phase: { ...at, side, phase },
  state: { ...at, device: text, from: maybe(state), to: state, tookMicros: number, cause },
  reset: { ...at, device: text, now: maybe(state) },
  progress: { ...at, object: text, bytes: count, left: maybe(count), rate: maybe(count) },
  switchover: { ...at, reason, left: maybe(count) },
  reinit: { ...at, device: text, generation: number },
  'tracker-lost': { ...at, tracker: number, why: text },
  overdue: { ...at, object: text, call: text },
  failed: { ...at, object: maybe(text), what: text },
  'given-up': at,
  'in-doubt': { ...at, why: text },
  ended: { ...at, device: text, outcome, state: maybe(state) },
  listening: { address: text },
  'too-late': { why: text },
}

/** An event that was read from somewhere; `undefined` if it is none. */
export const eventOf = (value: unknown): SessionEvent | undefined => {
  const type = (value as { readonly type?: unknown } | null | undefined)?.type
  if (typeof type !== 'string' || !Object.hasOwn(events, type)) return undefined
  const read = fieldsOf(value, events[type as SessionEvent['type']])
  return read && ({ type, ...read } as SessionEvent)
}

/** Most elements of a list that are read: more than a stream may have objects, and than a run has steps. */
const most = 100_000

/** What of a list can be read; an empty one where there is none. */
const listOf =
  <T>(read: Reader<T>): Reader<readonly T[]> =>
  (value) =>
    (Array.isArray(value) ? value : []).slice(0, most).flatMap((one: unknown) => {
      const known = read(one)
      return known === undefined ? [] : [known]
    })

const yes: Reader<boolean> = (value) => value === true

const step: Reader<Step> = (value) => fieldsOf(value, { state, ...at }) as Step | undefined

const sample: Reader<Sample> = (value) => fieldsOf(value, { ...at, bytes: count }) as Sample | undefined

const course: Reader<CourseEvent> = (value) => {
  const event = eventOf(value)
  return event && !otherwise.has(event.type) ? (event as CourseEvent) : undefined
}
/** What a report says in another way, and what only the facade tells. */
const otherwise = new Set<SessionEvent['type']>(['state', 'progress', 'ended', 'listening', 'too-late'])

const object: Reader<ObjectReport> = (value) =>
  fieldsOf(value, {
    id: text,
    protocol: maybe(oneOf('region', 'fsm')),
    capabilities: maybe(text),
    outcome: maybe(outcome),
    state: maybe(state),
    bytes: count,
    walked: listOf(step),
    resets: number,
    resetsCountedByDevice: yes,
    expected: maybe(count),
    validated: maybe((one) => (typeof one === 'boolean' ? one : undefined)),
  }) as ObjectReport | undefined

const micros = (name: string) => `${name}Micros`
const parts = ['total', 'pause', 'grace', 'stop', 'drain', 'load', 'takeOver']
const downtime: Reader<Downtime> = (value) =>
  fieldsOf(value, Object.fromEntries(parts.map((part) => [micros(part), number]))) as Downtime | undefined

/** A report that was read from somewhere; `undefined` if it is none. */
export const reportOf = (value: unknown): Report | undefined =>
  fieldsOf(value, {
    side,
    outcome,
    failure: maybe(text),
    totalMicros: number,
    bytes: count,
    rate: maybe(count),
    downtime: maybe(downtime),
    preCopyEnd: maybe(reason),
    notConverged: listOf(text),
    objects: listOf(object),
    course: listOf(course),
    flow: listOf(sample),
  }) as Report | undefined
