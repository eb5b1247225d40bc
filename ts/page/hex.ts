import { Blocks } from './blocks.ts'
import { type Origin, sizeOf, type Unreadable } from './bytes.ts'
import { button, el } from './dom.ts'
import { hexadecimal } from './part-text.ts'
import { VirtualRows } from './virtual-rows.ts'

/** Bytes of a stretch that can be scrolled at once: a browser's scroll bars end at some length. */
const window = 1 << 20

/** A stretch of a file. */
export interface Stretch {
  readonly origin: Origin
  readonly at: number
  readonly length: number
}

const printable = (byte: number) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·')

/**
 * The bytes of a stretch, in hexadecimal and as text, read when they come in sight. With another stretch beside it, bytes
 * that differ are marked.
 */
export class HexView {
  readonly element: HTMLElement
  readonly #scroller: HTMLElement
  readonly #rows: VirtualRows
  readonly #place = el('span', { class: 'hex-place' })
  readonly #pager: HTMLElement
  readonly #problem = el('p', { class: 'problem', role: 'status' })
  #stretch: Stretch | undefined
  #blocks: Blocks | undefined
  #other: { readonly blocks: Blocks; readonly at: number; readonly length: number } | undefined
  #start = 0

  constructor(label: string) {
    this.#scroller = el('div', { class: 'hex', role: 'group', tabindex: 0, 'aria-label': label })
    this.#rows = new VirtualRows(this.#scroller, (index) => this.#row(index))
    this.#pager = el(
      'div',
      { class: 'pager' },
      button('Earlier', {}, () => this.#turn(-1)),
      this.#place,
      button('Later', {}, () => this.#turn(1)),
    )
    this.element = el('div', { class: 'hex-view' }, this.#pager, this.#problem, this.#scroller)
    // The bytes in a row depend on the width.
    new ResizeObserver(() => this.#lay()).observe(this.#scroller)
    this.show(undefined)
  }

  /** Shows a stretch; `other` is what it is compared with. */
  show(stretch: Stretch | undefined, other?: Stretch) {
    this.element.hidden = stretch === undefined || stretch.length === 0
    if (stretch?.origin !== this.#stretch?.origin) this.#blocks = stretch && new Blocks(stretch.origin)
    this.#stretch = stretch
    this.#other = other && { blocks: new Blocks(other.origin), at: other.at, length: other.length }
    this.#start = 0
    this.#scroller.scrollTop = 0
    this.#problem.textContent = ''
    this.#lay()
  }

  get #perRow(): number {
    return Number(getComputedStyle(this.#scroller).getPropertyValue('--per-row')) || 16
  }

  /** Bytes of the stretch that are in the file: one that is cut off has fewer than it says. */
  get #length(): number {
    const { at, length, origin } = this.#stretch as Stretch
    return Math.max(0, Math.min(length, sizeOf(origin) - at))
  }

  #lay() {
    if (this.#stretch === undefined) {
      this.#rows.setCount(0)
      return
    }
    const length = Math.min(window, this.#length - this.#start)
    this.#pager.hidden = this.#length <= window
    const from = this.#stretch.at + this.#start
    this.#place.textContent = `bytes ${from} to ${from + length - 1}`
    this.#rows.setCount(Math.ceil(length / this.#perRow))
    this.#rows.redraw()
  }

  #turn(by: number) {
    const last = Math.floor((this.#length - 1) / window) * window
    this.#start = Math.min(last, Math.max(0, this.#start + by * window))
    this.#scroller.scrollTop = 0
    this.#lay()
  }

  #row(index: number): HTMLElement {
    const { at } = this.#stretch as Stretch
    const perRow = this.#perRow
    const inStretch = this.#start + index * perRow
    const length = Math.min(perRow, this.#length - inStretch)
    const row = el('div', { class: 'hex-row' })
    const number = el('span', { class: 'hex-at' }, hexadecimal(at + inStretch))
    const fill = (bytes: Uint8Array, others?: Uint8Array) =>
      row.replaceChildren(number, ...drawn(bytes, perRow, others))
    const own = (this.#blocks as Blocks).read(at + inStretch, length)
    const other = this.#other?.blocks.read(
      this.#other.at + inStretch,
      Math.max(0, Math.min(length, this.#other.length - inStretch)),
    )
    if (own instanceof Uint8Array && (other === undefined || other instanceof Uint8Array)) fill(own, other)
    else {
      row.append(number)
      Promise.all([own, other]).then(
        ([bytes, others]) => fill(bytes, others),
        (error: Unreadable) => {
          this.#problem.textContent = error.message
        },
      )
    }
    return row
  }
}

/** The bytes of a row, once as numbers and once as signs; those that differ from the others' are marked. */
const drawn = (bytes: Uint8Array, perRow: number, others?: Uint8Array): HTMLElement[] => {
  const numbers = el('span', { class: 'hex-bytes' })
  const signs = el('span', { class: 'hex-text', 'aria-hidden': 'true' })
  const same = (place: number) => others === undefined || others[place] === bytes[place]
  let from = 0
  while (from < bytes.length) {
    const alike = same(from)
    let end = from + 1
    while (end < bytes.length && same(end) === alike) end += 1
    const run = bytes.subarray(from, end)
    const [number, sign] = [[...run].map((byte) => hexadecimal(byte, 2)).join(' '), [...run].map(printable).join('')]
    numbers.append(alike ? number : el('mark', {}, number), end < bytes.length ? ' ' : '')
    signs.append(alike ? sign : el('mark', {}, sign))
    from = end
  }
  numbers.append('   '.repeat(perRow - bytes.length))
  return [numbers, signs]
}
