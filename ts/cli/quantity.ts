import { usage } from '../errors.ts'

export { bytes, duration } from '../quantity.ts'

const sizes: Record<string, number> = { '': 0, b: 0, k: 1, kib: 1, m: 2, mib: 2, g: 3, gib: 3, t: 4, tib: 4 }

/** A number of bytes as it is written on a command line: `4096`, `256MiB`, `1G`. */
export const parseBytes = (text: string, option: string): bigint => {
  const [, digits, unit] = /^(\d+)\s*([A-Za-z]*)$/.exec(text) ?? []
  const power = unit === undefined ? undefined : sizes[unit.toLowerCase()]
  const value = digits === undefined || power === undefined ? 0n : BigInt(digits) << BigInt(10 * power)
  if (power === undefined || value >= 1n << 63n) {
    throw usage(`${option} ${text}: not a number of bytes: write bytes, or a number with KiB, MiB, GiB or TiB`)
  }
  return value
}

const times: Record<string, number> = { ms: 1, s: 1000, '': 1000, min: 60_000, h: 3_600_000 }

/** A span of time as it is written on a command line, in milliseconds: `300ms`, `10s`, `2min`; a bare number is seconds. */
export const parseTime = (text: string, option: string): number => {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(text) ?? []
  const factor = unit === undefined ? undefined : times[unit]
  if (digits === undefined || factor === undefined)
    throw usage(`${option} ${text}: not a time: write 300ms, 10s or 2min`)
  return Number(digits) * factor
}

/** A whole number as it is written on a command line. */
export const parseCount = (text: string, option: string, least: number, most: number): number => {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw usage(`${option} ${text}: not a whole number from ${least} to ${most}`)
}
