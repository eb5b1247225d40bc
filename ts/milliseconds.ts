import { usage } from './errors.ts'

/** @internal A number of milliseconds, or why it is none. */
export const milliseconds = (options: object, name: string): number | undefined => {
  const value = (options as Record<string, unknown>)[name]
  if (value === undefined) return undefined
  if (typeof value === 'number' && value >= 0) return value
  throw usage(`${name} is a number of milliseconds from 0 on, not ${String(value)}`)
}
