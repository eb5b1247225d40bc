/** Bytes of a file, `end` not included. */
export interface Range {
  readonly start: number
  readonly end: number
}

/**
 * What a request's `Range` header asks for (RFC 9110, 14.2). None, several ranges, another unit and what is no range at
 * all are answered with the whole file: `undefined`. One that begins behind the file's end is `outside`.
 */
export const rangeOf = (header: string | undefined, size: number): Range | 'outside' | undefined => {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'outside' : { start: size - length, end: size }
  }
  const start = Number(first)
  const end = last === '' ? size : Math.min(Number(last) + 1, size)
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'outside' : { start, end }
}
