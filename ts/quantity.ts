const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']

/** Bytes for people: `1.5 GiB`. */
export const bytes = (count: bigint | number): string => {
  let value = Number(count)
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

/** A span of time for people, from microseconds: `0.03 ms`, `82.4 ms`, `3.1 s`, `4:05`. */
export const duration = (micros: number): string => {
  if (micros < 100) return `${(micros / 1000).toFixed(2)} ms`
  if (micros < 999_950) return `${(micros / 1000).toFixed(1)} ms`
  const seconds = micros / 1_000_000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}
