import { el } from './dom.ts'
import { VirtualRows } from './virtual-rows.ts'

let lists = 0

/**
 * A list of any length, one of whose rows is chosen: by mouse, or by arrow keys, Page Up and Page Down, Home and End.
 */
export class Listbox {
  readonly element: HTMLElement
  readonly #rows: VirtualRows
  readonly #chosen: (index: number) => void
  readonly #id: string
  #current = -1

  constructor(label: string, draw: (index: number) => HTMLElement, chosen: (index: number) => void) {
    lists += 1
    this.#id = `list${lists}`
    this.#chosen = chosen
    this.element = el('div', { role: 'listbox', tabindex: 0, 'aria-label': label })
    this.#rows = new VirtualRows(this.element, (index) => {
      const row = draw(index)
      row.classList.add('row')
      row.id = `${this.#id}-${index}`
      row.setAttribute('role', 'option')
      row.setAttribute('aria-posinset', `${index + 1}`)
      row.setAttribute('aria-setsize', `${this.#rows.count}`)
      row.setAttribute('aria-selected', `${index === this.#current}`)
      row.addEventListener('click', () => this.choose(index))
      return row
    })
    this.element.addEventListener('keydown', (event) => this.#key(event))
  }

  get current(): number {
    return this.#current
  }

  setCount(count: number) {
    this.#rows.setCount(count)
    if (this.#current >= count) this.#select(-1)
  }

  redraw() {
    this.#rows.redraw()
  }

  /** Chooses a row and brings it in sight; out of range: none. */
  choose(index: number) {
    if (index < 0 || index >= this.#rows.count) {
      this.#select(-1)
      return
    }
    this.#rows.reveal(index)
    this.#select(index)
    this.#chosen(index)
  }

  #select(index: number) {
    this.#rows.row(this.#current)?.setAttribute('aria-selected', 'false')
    this.#current = index
    this.#rows.row(index)?.setAttribute('aria-selected', 'true')
    if (index < 0) this.element.removeAttribute('aria-activedescendant')
    else this.element.setAttribute('aria-activedescendant', `${this.#id}-${index}`)
  }

  #key(event: KeyboardEvent) {
    if (event.ctrlKey || event.altKey || event.metaKey) return
    const last = this.#rows.count - 1
    const page = this.#rows.inSight
    const to: Partial<Record<string, number>> = {
      ArrowDown: this.#current + 1,
      ArrowUp: Math.max(0, this.#current - 1),
      PageDown: this.#current + page,
      PageUp: Math.max(0, this.#current - page),
      Home: 0,
      End: last,
    }
    const wanted = to[event.key]
    if (wanted === undefined || last < 0) return
    event.preventDefault()
    this.choose(Math.min(last, wanted))
  }
}
