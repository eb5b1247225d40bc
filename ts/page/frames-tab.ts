import type { Part } from '../inspection.ts'
import { el, facts } from './dom.ts'
import type { OpenedFile } from './files.ts'
import { HexView } from './hex.ts'
import { Listbox } from './listbox.ts'
import { byteIn, factsOf, hexadecimal, matches, partText, placeOf } from './part-text.ts'
import type { Page, Shown, Tab } from './tabs.ts'

/** How long a search works before it lets the page draw, in milliseconds. */
const slot = 8

/** The parts of one file, a search among them, and the bytes of one. */
class FramesView implements Shown {
  readonly #page: Page
  readonly #list: Listbox
  readonly #hex = new HexView('Bytes of the part')
  readonly #details = el('div', { class: 'details' })
  readonly #count = el('p', { class: 'soft', role: 'status', id: 'frames-count' })
  readonly #search = el('input', {
    type: 'search',
    id: 'frames-search',
    placeholder: 'type, object, fact, checksum, or @byte',
    'aria-describedby': 'frames-count',
    autocomplete: 'off',
    spellcheck: 'false',
  })
  readonly #empty = el('p', { class: 'soft' }, 'A report has no frames: its course is under Run.')
  readonly #all = el('div', { class: 'frames' })
  #file: OpenedFile | undefined
  /** Places of the parts that are found; without a search all are. */
  #found: number[] | undefined
  /** How many parts the search has seen. */
  #searched = 0
  #searching = 0
  /** A byte whose part is wanted, which may not have come yet. */
  #wanted: bigint | undefined
  #named = false

  constructor(panel: HTMLElement, page: Page) {
    this.#page = page
    this.#list = new Listbox(
      'Frames',
      (index) => this.#row(this.#place(index)),
      (index) => this.#choose(this.#place(index)),
    )
    this.#search.addEventListener('input', () => this.#find())
    this.#search.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' && event.key !== 'ArrowDown') return
      event.preventDefault()
      this.#list.element.focus()
      if (this.#list.current < 0) this.#list.choose(0)
    })
    this.#all.append(
      el(
        'div',
        { class: 'frames-list' },
        el('label', { class: 'search' }, el('span', {}, 'Search'), this.#search),
        this.#count,
        this.#list.element,
      ),
      el('div', { class: 'frames-part' }, this.#details, this.#hex.element),
    )
    panel.append(this.#empty, this.#all)
  }

  update(file: OpenedFile | undefined) {
    const other = file !== this.#file
    this.#file = file
    this.#empty.hidden = file?.report === undefined
    this.#all.hidden = file === undefined || file.report !== undefined
    if (other) {
      this.#named = false
      this.#hex.show(undefined)
      this.#details.replaceChildren(el('p', { class: 'soft' }, 'Choose a frame to see its bytes.'))
      this.#list.choose(-1)
      this.#list.setCount(0)
      this.#find()
    } else this.#searchOn()
    if (file?.outline && !this.#named) {
      // Only now the objects have names.
      this.#named = true
      this.#list.redraw()
    }
    this.#reveal()
  }

  show(query: URLSearchParams) {
    const byte = byteIn(`@${query.get('byte') ?? ''}`)
    if (byte === undefined) return
    this.#search.value = ''
    this.#find()
    this.#wanted = byte
    this.#reveal()
  }

  key({ key }: KeyboardEvent): boolean {
    if (key !== '/') return false
    this.#search.focus()
    this.#search.select()
    return true
  }

  get #parts(): readonly Part[] {
    return this.#file?.parts ?? []
  }

  get #objects() {
    return this.#file?.outline?.objects ?? []
  }

  #place(index: number) {
    return this.#found === undefined ? index : (this.#found[index] as number)
  }

  /** Goes to the part of a byte as soon as it is there. */
  #reveal() {
    if (this.#wanted === undefined || this.#file === undefined) return
    const parts = this.#parts
    const last = parts.at(-1)
    const size = last === undefined ? 0n : last.at + last.len
    // A file that is cut off is damaged at its end, where no byte is.
    const byte = this.#wanted >= size && this.#file.outline ? size - 1n : this.#wanted
    const place = placeOf(parts, byte)
    if (place === undefined) return
    this.#wanted = undefined
    this.#list.choose(place)
  }

  #find() {
    this.#searching += 1
    this.#searched = 0
    const text = this.#search.value
    const byte = byteIn(text)
    this.#found = text.trim() === '' || byte !== undefined ? undefined : []
    this.#wanted = byte
    this.#list.choose(-1)
    // Every row is another one now.
    this.#list.setCount(0)
    this.#searchOn()
    this.#reveal()
  }

  /** Looks at the parts that have come since. */
  async #searchOn() {
    const parts = this.#parts
    const found = this.#found
    if (found === undefined) {
      this.#list.setCount(parts.length)
      this.#tell()
      return
    }
    this.#searching += 1
    const turn = this.#searching
    const words = this.#search.value.trim().toLowerCase().split(/\s+/)
    while (this.#searched < parts.length) {
      const until = performance.now() + slot
      while (this.#searched < parts.length && performance.now() < until) {
        if (matches(parts[this.#searched] as Part, this.#objects, words)) found.push(this.#searched)
        this.#searched += 1
      }
      this.#list.setCount(found.length)
      this.#tell()
      await new Promise((resolve) => setTimeout(resolve))
      if (turn !== this.#searching) return
    }
    this.#list.setCount(found.length)
    this.#tell()
  }

  #tell() {
    const { parts, unlisted = 0 } = this.#file ?? { parts: [] }
    const all = `${parts.length} frames and other parts`
    const more = unlisted > 0 ? `; ${unlisted} more are not listed: vfio-migration inspect --frames shows them` : ''
    this.#count.textContent = this.#found === undefined ? `${all}${more}` : `${this.#found.length} of ${all}${more}`
  }

  #row(place: number): HTMLElement {
    const part = this.#parts[place] as Part
    const { type, about, facts: said } = partText(part, this.#objects)
    return el(
      'div',
      { class: `frame type-${type}` },
      el('span', { class: 'frame-at' }, `${part.at}`),
      el('span', { class: 'frame-type' }, type),
      el('span', { class: 'frame-len' }, `${part.len}`),
      el('span', { class: 'frame-about' }, about),
      el('span', { class: 'frame-facts' }, said),
    )
  }

  #choose(place: number) {
    const file = this.#file as OpenedFile
    const part = this.#parts[place] as Part
    const { at, len, payload, type } = part
    const text = 'text' in part ? part.text : undefined
    this.#details.replaceChildren(
      el('h3', {}, type, el('span', { class: 'tag' }, partText(part, this.#objects).about)),
      facts([
        ['first byte', `${at} (0x${at.toString(16)})`],
        ['length', `${len} bytes`],
        ['payload', payload && `${payload.len} bytes from byte ${payload.at}, CRC32C ${hexadecimal(payload.checksum)}`],
        ...factsOf(part).filter(([name]) => name !== 'text'),
      ]),
      ...(text === undefined
        ? []
        : [el('pre', { class: 'text', tabindex: 0, 'aria-label': 'The text' }, pretty(text))]),
    )
    this.#hex.show({ origin: file.origin, at: Number(at), length: Number(len) })
    this.#page.say(`${type}, ${len} bytes from byte ${at}`)
  }
}

/** JSON with room to read; another text as it is. */
const pretty = (text: string) => {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2)
  } catch {
    return text
  }
}

/** Every part of a file, and its bytes. */
export const framesTab: Tab = {
  id: 'frames',
  label: 'Frames',
  keys: [
    ['/', 'search among the frames'],
    ['↑ ↓ Page Up Page Down Home End', 'in a list: another row'],
  ],
  open: (panel, page) => new FramesView(panel, page),
}
