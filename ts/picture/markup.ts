/** What markup cannot hold: control characters, halves of surrogate pairs, and two that are no characters. */
const unfit =
  /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Text as it may stand in HTML and SVG, in attributes too: names come from devices, files and peers. */
export const escaped = (text: string): string =>
  text.replace(unfit, '\ufffd').replace(/[&<>"']/g, (sign) => entities[sign] as string)

/** Attributes: numbers are rounded to hundredths, what is undefined is left out. */
export type Attributes = Readonly<Record<string, string | number | undefined>>

const value = (one: string | number) => (typeof one === 'number' ? String(Math.round(one * 100) / 100) : escaped(one))

/** An element; what is in it is markup already. */
export const element = (name: string, attributes: Attributes, ...content: readonly string[]): string => {
  const all = Object.entries(attributes).flatMap(([key, one]) => (one === undefined ? [] : [` ${key}="${value(one)}"`]))
  return content.length === 0 ? `<${name}${all.join('')}/>` : `<${name}${all.join('')}>${content.join('')}</${name}>`
}

/** An element with a text in it. */
export const texted = (name: string, attributes: Attributes, text: string): string =>
  element(name, attributes, escaped(text))

/** Cuts a text to so many characters. */
export const shortened = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`
