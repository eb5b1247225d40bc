// What the compiler refuses, said again for those who have none. What a caller hands over is looked at here, before the
// addon gets it: a conversion that fails there says what Rust would have liked, and nothing else.
import { usage } from './errors.ts'

/** @internal What was handed over, in a word or two. */
export const said = (value: unknown): string => {
  if (typeof value === 'string') return `'${value}'`
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'function') return 'a function'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

/** @internal An object with properties, or why it is none. */
export const record = <T extends object>(value: T, wanted = 'options are an object'): T => {
  if (typeof value === 'object' && value !== null) return value
  throw usage(`${wanted}, not ${said(value)}`)
}

/** @internal A text, or why it is none. */
export const text = (value: unknown, what: string): string => {
  if (typeof value === 'string') return value
  throw usage(`${what} is a text, not ${said(value)}`)
}

const optional = <T>(options: object, name: string, is: (value: unknown) => value is T, what: string) => {
  const value = (options as Record<string, unknown>)[name]
  if (value === undefined || is(value)) return value
  throw usage(`${name} is ${what}, not ${said(value)}`)
}

const isText = (value: unknown) => typeof value === 'string'
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText)
const isFlag = (value: unknown) => typeof value === 'boolean'
const isSpan = (value: unknown): value is number => typeof value === 'number' && value >= 0
// One of another realm is as good: test runners give programs globals of their own.
const isSignal = (value: unknown): value is AbortSignal =>
  typeof (value as Partial<AbortSignal> | null)?.throwIfAborted === 'function'

/** @internal An option that is a text. */
export const textIn = (options: object, name: string) => optional(options, name, isText, 'a text')

/** @internal An option that is a list of texts. */
export const textsIn = (options: object, name: string) => optional(options, name, isTexts, 'a list of texts')

/** @internal An option that is true or false. */
export const flagIn = (options: object, name: string) => optional(options, name, isFlag, 'true or false')

/** @internal An option that is a number of milliseconds. */
export const millisecondsIn = (options: object, name: string) =>
  optional(options, name, isSpan, 'a number of milliseconds from 0 on')

/** @internal An option that is a signal. */
export const signalIn = (options: object) => optional(options, 'signal', isSignal, 'an AbortSignal')

/** @internal Whether it is an address or a length as devices have them. */
export const isAddress = (value: unknown): value is bigint =>
  typeof value === 'bigint' && value >= 0n && value < 1n << 64n
