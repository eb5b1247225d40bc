// A scenario as the page holds it: the words of its text, which are also what stands in the address.

/** The words of a scenario's text, in order; some may stand several times. */
export type Words = readonly (readonly [word: string, value: string])[]

/** The first value of a word. */
export const firstOf = (words: Words, word: string): string | undefined => words.find(([name]) => name === word)?.[1]

/** The same words with another value of one; without it where the value is undefined. */
export const withValue = (words: Words, word: string, value: string | undefined): Words => {
  const at = words.findIndex(([name]) => name === word)
  if (value === undefined) return words.filter(([name]) => name !== word)
  if (at < 0) return [...words, [word, value]]
  return words.map((one, place) => (place === at ? [word, value] : one))
}

/** The text, which `vfio-migration simulate` replays. */
export const textOf = (words: Words): string => words.map(([word, value]) => `${word}=${value}`).join(' ')

/** The part of the address behind `#simulate?`. What need not be escaped is left readable. */
export const addressOf = (words: Words): string =>
  words
    .map(
      ([word, value]) =>
        `${word}=${encodeURIComponent(value).replaceAll(/%(3A|28|29|2C|2B|40|2F|3D)/g, decodeURIComponent)}`,
    )
    .join('&')

/** What such a part of an address says. A plus is a plus: no value of a scenario has blanks. */
export const wordsOf = (query: URLSearchParams): Words =>
  [...query].map(([word, value]) => [word, value.trim().replaceAll(' ', '+')] as const)
