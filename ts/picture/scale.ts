/** Where a moment is drawn: from `left`, `width` wide. What is outside of the extent is drawn at its edge. */
export interface Scale {
  readonly fromMicros: number
  readonly toMicros: number
  readonly left: number
  readonly width: number
  /** Where a moment is, in pixels. */
  at(micros: number): number
}

/** A scale over an extent; one without length is drawn as if it were one microsecond long. */
export const scaleOf = (fromMicros: number, toMicros: number, left: number, width: number): Scale => {
  const length = Math.max(1, toMicros - fromMicros)
  return {
    fromMicros,
    toMicros: fromMicros + length,
    left,
    width,
    at: (micros) => left + (Math.min(Math.max(micros - fromMicros, 0), length) / length) * width,
  }
}

/** One mark of an axis. */
export interface Tick {
  readonly atMicros: number
  readonly label: string
}

const minute = 60_000_000
const day = 86_400_000_000
/** Steps above a second, where tens are not round any more. */
const long = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200].map(
  (seconds) => seconds * 1_000_000,
)

/** The smallest round step that is at least so long. */
const stepOf = (least: number): number => {
  if (least > (long.at(-1) as number)) return Math.ceil(least / day) * day
  if (least > 500_000) return long.find((step) => step >= least) as number
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)))
  return ([1, 2, 5, 10].find((factor) => factor * power >= least) as number) * power
}

const label = (micros: number, step: number): string => {
  if (micros === 0) return '0'
  if (step < 1000 && Math.abs(micros) < 1000) return `${micros} µs`
  if (step < 1_000_000 && Math.abs(micros) < 10_000_000) {
    return `${(micros / 1000).toFixed(step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3)} ms`
  }
  if (step < minute && Math.abs(micros) < 2 * minute) {
    const digits = step >= 1_000_000 ? 0 : Math.ceil(Math.log10(1_000_000 / step))
    return `${(micros / 1_000_000).toFixed(digits)} s`
  }
  const seconds = Math.round(Math.abs(micros) / 1_000_000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const two = (number: number) => String(number).padStart(2, '0')
  const clock = hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
  return micros < 0 ? `−${clock}` : clock
}

/** Round moments of an extent, counted from `zero`, at most one in `room` pixels. */
export const ticksOf = ({ fromMicros, toMicros, width }: Scale, zero: number, room = 84): Tick[] => {
  const length = toMicros - fromMicros
  const step = stepOf((length / Math.max(1, width)) * room)
  const first = Math.ceil((fromMicros - zero) / step)
  const last = Math.floor((toMicros - zero) / step)
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, place) => {
    const since = (first + place) * step
    return { atMicros: zero + since, label: label(since, step) }
  })
}
