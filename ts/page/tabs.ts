import { el } from './dom.ts'
import type { Files, OpenedFile } from './files.ts'

/** What every tab can use. */
export interface Page {
  readonly files: Files
  /** Shows a tab at once; `query` is what it is told, and stands in the address. */
  go(tab: string, query?: string): void
  /** Says something to people who do not see the page change. */
  say(text: string): void
}

/** A tab that is shown. */
export interface Shown {
  /** The tab came to the front, or its part of the address has changed. */
  show?(query: URLSearchParams): void
  /** The tab is in front, and a file was opened, read on, chosen or closed. */
  update?(file: OpenedFile | undefined): void
  /** The tab is in front, and a key was pressed that nothing else took; whether it was taken. */
  key?(event: KeyboardEvent): boolean
}

/** One tab of the page. A new one is a module with one of these, and a line in `main.ts`. */
export interface Tab {
  /** What stands in the address: `#frames`. */
  readonly id: string
  readonly label: string
  /** What it answers to on the keyboard, one line each. */
  readonly keys?: readonly (readonly [keys: string, does: string])[]
  /** Whether it shows something although no file is open. */
  readonly withoutFile?: true
  /** Fills its panel; called when it is first shown. */
  open(panel: HTMLElement, page: Page): Shown
}

/** The tabs: one panel of them is shown, and the address says which. Tells of every change by the event `change`. */
export class Tabs extends EventTarget {
  readonly list: HTMLElement
  readonly panels: HTMLElement
  readonly #tabs: readonly Tab[]
  readonly #page: Page
  readonly #shown = new Map<Tab, Shown>()
  #current: Tab

  constructor(tabs: readonly Tab[], page: Page) {
    super()
    this.#tabs = tabs
    this.#page = page
    this.#current = tabs[0] as Tab
    this.list = el('div', { class: 'tabs', role: 'tablist', 'aria-label': 'What is shown' })
    this.panels = el('div', { class: 'panels' })
    for (const { id, label } of tabs) {
      const tab = el('button', { type: 'button', role: 'tab', id: `tab-${id}`, 'aria-controls': `panel-${id}` }, label)
      tab.addEventListener('click', () => this.go(id))
      this.list.append(tab)
      this.panels.append(
        el('section', { role: 'tabpanel', id: `panel-${id}`, 'aria-labelledby': `tab-${id}`, hidden: true }),
      )
    }
    this.list.addEventListener('keydown', (event) => this.#arrow(event))
    addEventListener('hashchange', () => this.follow())
  }

  get current(): Tab {
    return this.#current
  }

  /** What the tab in front shows. */
  get front(): Shown | undefined {
    return this.#shown.get(this.#current)
  }

  /** Shows what the address says. */
  follow() {
    const [id, query = ''] = location.hash.slice(1).split('?', 2)
    const tab = this.#tabs.find((one) => one.id === id) ?? (this.#tabs[0] as Tab)
    this.#current = tab
    for (const [place, element] of [...this.list.children].entries()) {
      const chosen = this.#tabs[place] === tab
      element.setAttribute('aria-selected', `${chosen}`)
      element.setAttribute('tabindex', chosen ? '0' : '-1')
    }
    for (const [place, panel] of [...this.panels.children].entries()) {
      ;(panel as HTMLElement).hidden = this.#tabs[place] !== tab
    }
    let shown = this.#shown.get(tab)
    if (shown === undefined) {
      shown = tab.open(this.panels.children[this.#tabs.indexOf(tab)] as HTMLElement, this.#page)
      this.#shown.set(tab, shown)
    }
    shown.update?.(this.#page.files.current)
    shown.show?.(new URLSearchParams(query))
    document.title = `${tab.label} - vfio-migration`
    this.dispatchEvent(new Event('change'))
  }

  /** Shows a tab at once. A change of `location.hash` would tell later, and a second key that came before got the old tab. */
  go(id: string, query?: string) {
    const hash = query ? `#${id}?${query}` : `#${id}`
    if (location.hash !== hash) history.pushState(null, '', hash)
    this.follow()
  }

  #arrow(event: KeyboardEvent) {
    const place = this.#tabs.indexOf(this.#current)
    const last = this.#tabs.length - 1
    const to: Partial<Record<string, number>> = {
      ArrowRight: place === last ? 0 : place + 1,
      ArrowLeft: place === 0 ? last : place - 1,
      Home: 0,
      End: last,
    }
    const next = to[event.key]
    if (next === undefined || event.ctrlKey || event.altKey || event.metaKey) return
    event.preventDefault()
    this.go((this.#tabs[next] as Tab).id)
    ;(this.list.children[next] as HTMLElement).focus()
  }
}
