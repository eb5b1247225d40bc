import { button, el } from './dom.ts'
import type { Files, OpenedFile } from './files.ts'
import { judge } from './verdict.ts'

/** How a verdict looks beside a file's name; the word is for those who do not see the sign. */
const signs = { good: ['✓', 'sound'], bad: ['✗', 'not sound'], busy: ['…', 'reading'], plain: ['•', 'report'] } as const

/** The files that are open, one of which is chosen, and the ways to open more. */
export class FileBar {
  readonly element = el('div', { class: 'file-bar' })
  readonly #list = el('div', { class: 'files', role: 'radiogroup', 'aria-label': 'Open files' })
  readonly #absent = el('div', { class: 'absent' })
  readonly #input = el('input', { type: 'file', multiple: true, hidden: true, 'aria-hidden': 'true', tabindex: -1 })
  readonly #files: Files

  constructor(files: Files) {
    this.#files = files
    this.#input.addEventListener('change', () => {
      files.open([...(this.#input.files ?? [])].map((file) => ({ file })))
      // The same file can be opened again.
      this.#input.value = ''
    })
    this.element.append(
      this.#list,
      button('Open files…', { class: 'open' }, () => this.choose()),
      this.#input,
      this.#absent,
    )
    this.#list.addEventListener('keydown', (event) => this.#key(event))
    files.addEventListener('change', () => this.#draw())
    this.#draw()
  }

  /** Asks for files. */
  choose() {
    this.#input.click()
  }

  #draw() {
    const { all, current, absent } = this.#files
    const focused = this.#list.contains(document.activeElement)
    this.#list.hidden = all.length === 0
    this.#list.replaceChildren(...all.map((file) => this.#chip(file, file === current)))
    if (focused) this.#list.querySelector<HTMLElement>('[aria-checked="true"]')?.focus()
    this.#absent.replaceChildren(
      ...absent.map(({ name, problem }) =>
        el('p', { class: 'banner bad' }, el('strong', {}, name), ` cannot be read: ${problem}`),
      ),
    )
  }

  #chip(file: OpenedFile, current: boolean): HTMLElement {
    const { tone } = judge(file)
    const [sign, word] = signs[tone]
    const choice = el(
      'button',
      { type: 'button', role: 'radio', 'aria-checked': `${current}`, tabindex: current ? 0 : -1, class: 'file' },
      el('span', { class: tone, role: 'img', 'aria-label': word }, sign),
      el('span', { class: 'file-name' }, file.name),
    )
    choice.addEventListener('click', () => this.#files.choose(file))
    const close = button(
      '×',
      { class: 'close', 'aria-label': `Close ${file.name}`, tabindex: current ? '0' : '-1' },
      () => this.#files.close(file),
    )
    return el('span', { class: 'chip' }, choice, close)
  }

  #key(event: KeyboardEvent) {
    const { all, current } = this.#files
    if (current === undefined || event.ctrlKey || event.altKey || event.metaKey) return
    const place = all.indexOf(current)
    const to: Partial<Record<string, number>> = {
      ArrowRight: (place + 1) % all.length,
      ArrowDown: (place + 1) % all.length,
      ArrowLeft: (place + all.length - 1) % all.length,
      ArrowUp: (place + all.length - 1) % all.length,
    }
    if (event.key === 'Delete') this.#files.close(current)
    const next = all[to[event.key] ?? -1]
    if (next) this.#files.choose(next)
    if (next || event.key === 'Delete') event.preventDefault()
  }
}
