import { el } from './dom.ts'

/** Rows that are drawn beyond the edges, so that scrolling shows no gaps. */
const spare = 8

/**
 * Rows of one height, of which only those in sight exist. The height is the style sheet's `--row` of the element, in
 * pixels, so that it may be another one on a narrow screen.
 */
export class VirtualRows {
  readonly element: HTMLElement
  readonly #inner = el('div', { class: 'rows-inner', role: 'presentation' })
  readonly #draw: (index: number) => HTMLElement
  readonly #drawn = new Map<number, HTMLElement>()
  #count = 0
  #height = 0

  constructor(element: HTMLElement, draw: (index: number) => HTMLElement) {
    this.element = element
    this.#draw = draw
    element.classList.add('rows')
    element.append(this.#inner)
    element.addEventListener('scroll', () => this.#fill(), { passive: true })
    new ResizeObserver(() => this.redraw()).observe(element)
  }

  get count(): number {
    return this.#count
  }

  /** Rows that fit. */
  get inSight(): number {
    return Math.max(1, Math.floor(this.element.clientHeight / this.#rowHeight()))
  }

  setCount(count: number) {
    if (count === this.#count) return
    const fewer = count < this.#count
    this.#count = count
    if (fewer) this.redraw()
    else this.#fill()
  }

  /** Draws anew all rows that are in sight. */
  redraw() {
    for (const row of this.#drawn.values()) row.remove()
    this.#drawn.clear()
    this.#height = 0
    this.#fill()
  }

  /** The element of a row, if it is in sight. */
  row(index: number): HTMLElement | undefined {
    return this.#drawn.get(index)
  }

  /** Brings a row in sight, with as little scrolling as can be. */
  reveal(index: number) {
    const height = this.#rowHeight()
    const { scrollTop, clientHeight } = this.element
    const top = index * height
    if (top < scrollTop) this.element.scrollTop = top
    else if (top + height > scrollTop + clientHeight) this.element.scrollTop = top + height - clientHeight
    this.#fill()
  }

  #rowHeight(): number {
    if (this.#height === 0)
      this.#height = Number.parseFloat(getComputedStyle(this.element).getPropertyValue('--row')) || 24
    return this.#height
  }

  #fill() {
    const height = this.#rowHeight()
    this.#inner.style.height = `${this.#count * height}px`
    const { scrollTop, clientHeight } = this.element
    const first = Math.max(0, Math.floor(scrollTop / height) - spare)
    const end = Math.min(this.#count, Math.ceil((scrollTop + clientHeight) / height) + spare)
    for (const [index, row] of this.#drawn) {
      if (index >= first && index < end) continue
      row.remove()
      this.#drawn.delete(index)
    }
    for (let index = first; index < end; index += 1) {
      if (this.#drawn.has(index)) continue
      const row = this.#draw(index)
      row.style.top = `${index * height}px`
      row.style.height = `${height}px`
      this.#drawn.set(index, row)
      this.#inner.append(row)
    }
  }
}
