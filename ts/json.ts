/**
 * Writes a value as JSON, bigints included: as numbers where every reader of JSON can hold them, and as decimal texts
 * above 2^53 - 1.
 *
 * @example
 * ```ts
 * import { toJson } from 'vfio-migration'
 * toJson({ bytes: 7n }) // '{"bytes":7}'
 * toJson({ bytes: 1n << 60n }) // '{"bytes":"1152921504606846976"}'
 * ```
 */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'bigint') return inner
    const number = Number(inner)
    return Number.isSafeInteger(number) ? number : inner.toString()
  })
