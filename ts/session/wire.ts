/** Counts of bytes: bigints in TypeScript, whatever their size. */
const counts = new Set(['bytes', 'left', 'rate', 'expected'])

/** A text or a number of JSON; what is a number inside a text is part of the text. */
const token = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
/** Digits that every double can tell apart from their neighbours. */
const SAFE_DIGITS = 15

/**
 * @internal The one place where what the engine serialises becomes values: counts of bytes are bigints, also beyond
 * 2^53, and null, which stands for unknown or none, is an absent property. `names` are the properties that are counts.
 */
export const parseWire = (json: string, names: ReadonlySet<string> = counts): unknown => {
  // A double cannot hold every u64: long numbers are read as texts, and the names of the counts say what they are.
  const kept = json.replace(token, (text) => (text.startsWith('"') || text.length <= SAFE_DIGITS ? text : `"${text}"`))
  return JSON.parse(kept, (key, value: unknown) => {
    if (value === null) return undefined
    return names.has(key) && (typeof value === 'number' || typeof value === 'string') ? BigInt(value) : value
  })
}
