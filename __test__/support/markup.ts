// A reader of the markup that pictures are made of: strict, so that a text that was not escaped is found.

/** An element, or a text (then `name` is empty). */
export interface Node {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly Node[]
  /** All text in it. */
  readonly text: string
}

const entities: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" }

const plain = (text: string): string => {
  const told = text.replaceAll(/&[^;\s]*;?/g, (entity) => {
    const sign = entities[entity]
    if (sign === undefined) throw new Error(`'${entity}' is no entity`)
    return sign
  })
  if (/[\x00-\x08\x0b\x0c\x0e-\x1f]/.test(told)) throw new Error('a control character')
  return told
}

/** Elements of HTML that have no end. */
const open = new Set(['meta', 'link', 'br'])

/** Parses SVG, or HTML as it is written here. */
export const parseMarkup = (markup: string): Node => {
  const root = { name: '#root', attributes: {}, children: [] as Node[], text: '' }
  const stack = [root]
  const add = (node: Node) => {
    ;(stack.at(-1) as typeof root).children.push(node)
    return node
  }
  const say = (text: string) => {
    for (const node of stack) node.text += text
    add({ name: '', attributes: {}, children: [], text })
  }
  let at = 0
  const pattern = /<!doctype html>|<style>([^<]*)<\/style>|<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w:-]+="[^"<>]*")*)\s*(\/?)>/gy
  while (at < markup.length) {
    const next = markup.indexOf('<', at)
    const text = markup.slice(at, next < 0 ? undefined : next)
    if (text.includes('>')) throw new Error(`a bare > in '${text}'`)
    if (text !== '') say(plain(text))
    if (next < 0) break
    pattern.lastIndex = next
    const tag = pattern.exec(markup)
    if (tag === null) throw new Error(`no tag at '${markup.slice(next, next + 80)}'`)
    at = pattern.lastIndex
    const [, style, closing, name, attributes = '', empty] = tag
    if (style !== undefined || name === undefined) continue
    if (closing) {
      const ended = stack.pop()
      if (ended?.name !== name) throw new Error(`</${name}> ends <${ended?.name}>`)
      continue
    }
    const read: Record<string, string> = {}
    for (const [, key, value] of attributes.matchAll(/([\w:-]+)="([^"]*)"/g)) {
      if (Object.hasOwn(read, key as string)) throw new Error(`${key} twice`)
      read[key as string] = plain(value as string)
    }
    const node = { name, attributes: read, children: [] as Node[], text: '' }
    add(node)
    if (!empty && !open.has(name)) stack.push(node)
  }
  if (stack.length !== 1) throw new Error(`<${stack.at(-1)?.name}> does not end`)
  return root
}

const classes = ({ attributes }: Node) => (attributes.class ?? '').split(' ')

/** All elements in it of a name, of a class (`.vm-lane`), or of both (`rect.vm-stop`), in order. */
export const all = (node: Node, selector: string): Node[] => {
  const [name, ...wanted] = selector.split('.')
  return node.children.flatMap((child) => [
    ...(child.name !== '' && (name === '' || child.name === name) && wanted.every((one) => classes(child).includes(one))
      ? [child]
      : []),
    ...all(child, selector),
  ])
}

/** The only such element in it. */
export const only = (node: Node, selector: string): Node => {
  const found = all(node, selector)
  if (found.length !== 1) throw new Error(`${found.length} of ${selector}`)
  return found[0] as Node
}

/** A number among its attributes. */
export const numberOf = ({ attributes, name }: Node, attribute: string): number => {
  const value = Number(attributes[attribute])
  if (!Number.isFinite(value)) throw new Error(`${attribute}="${attributes[attribute]}" of <${name}> is no number`)
  return value
}

/** The points of a path of straight lines. */
export const pointsOf = ({ attributes }: Node): (readonly [x: number, y: number])[] =>
  [...(attributes.d ?? '').matchAll(/[ML]([-\d.]+) ([-\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)])
