import type { ObjectOutline, Part } from '../inspection.ts'

/** A part as a row of a list. */
export interface PartText {
  readonly type: string
  /** The object that it is about, by its id. */
  readonly about: string
  /** What else is to be said of it. */
  readonly facts: string
}

const words = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

/** What a part says besides where it is, what it is and what it is about: names and values. */
export const factsOf = (part: Part): [name: string, value: string][] => {
  const { at: _at, len: _len, type: _type, object: _object, payload: _payload, ...rest } = part
  if ('damage' in rest) {
    const { at, expected, found } = rest.damage
    return [
      ['damaged at byte', `${at}`],
      ['expected', expected],
      ['found', found],
    ]
  }
  return Object.entries(rest)
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([name, value]) => [words(name), value === true ? 'yes' : `${value}`])
}

const short = (text: string) => (text.length > 160 ? `${text.slice(0, 159)}…` : text)

/** A part in one line. `objects` are those of the outline, which comes at the end: until then objects have numbers. */
export const partText = (part: Part, objects: readonly ObjectOutline[]): PartText => {
  const { object, payload, type } = part
  const said = factsOf(part)
    .filter(([name]) => name !== 'text' && !(name === 'name' && type === 'text'))
    .map(([name, value]) => (value === 'yes' ? name : `${name} ${short(value)}`))
  if ('text' in part) said.unshift(short(part.text))
  if (payload) said.push(`${payload.len} bytes`)
  return {
    // What a text is tells more than that it is one.
    type: part.type === 'text' ? part.name : type,
    about: object === undefined ? '' : (objects[object]?.id ?? `object ${object}`),
    facts: said.join(', '),
  }
}

export const hexadecimal = (number: number | bigint, digits = 8) => number.toString(16).padStart(digits, '0')

/** Whether a part is what somebody looks for: all words of the search stand in its line. */
export const matches = (part: Part, objects: readonly ObjectOutline[], search: readonly string[]): boolean => {
  const { type, about, facts } = partText(part, objects)
  const { at, payload } = part
  const check = payload ? ` ${hexadecimal(payload.checksum)}` : ''
  const text = `${part.type} ${type} ${about} ${facts} ${at} 0x${at.toString(16)}${check}`.toLowerCase()
  return search.every((word) => text.includes(word))
}

/** The byte that a search names, `@4096` or `@0x1000`, if it names one. */
export const byteIn = (search: string): bigint | undefined => {
  const [, digits] = /^@\s*(0x[0-9a-f]{1,16}|\d{1,18})$/i.exec(search.trim()) ?? []
  return digits === undefined ? undefined : BigInt(digits)
}

/** The place of the part that holds a byte: they lie side by side in the file. */
export const placeOf = (parts: readonly Part[], byte: bigint): number | undefined => {
  let [low, high] = [0, parts.length - 1]
  while (low <= high) {
    const middle = (low + high) >> 1
    const { at, len } = parts[middle] as Part
    if (byte < at) high = middle - 1
    else if (byte >= at + len) low = middle + 1
    else return middle
  }
  return undefined
}
