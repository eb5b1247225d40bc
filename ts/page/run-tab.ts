import { picture, runOf } from '../picture/index.ts'
import type { RunEnd } from '../picture/run.ts'
import { el } from './dom.ts'
import type { OpenedFile } from './files.ts'
import { adoptPictureStyle } from './picture-style.ts'
import type { Page, Shown, Tab } from './tabs.ts'

/** Whether two files are likely to be the two ends of one migration. */
const belong = (one: RunEnd, other: RunEnd) => {
  const ids = (end: RunEnd) => JSON.stringify(end.objects.map(({ id }) => id).sort())
  return one.side !== other.side && ids(one) === ids(other)
}

/** The course of the run that a file tells of; of both its ends, where another file tells of the other one. */
class RunView implements Shown {
  readonly #page: Page
  readonly #drawn = el('div', {})
  readonly #says = el('p', { class: 'banner plain' })
  readonly #other = el('select', { id: 'run-other' })
  readonly #choice = el('p', { class: 'choice' }, el('label', { for: 'run-other' }, 'The other end'), this.#other)
  #file: OpenedFile | undefined
  #end: RunEnd | undefined
  #others: readonly OpenedFile[] = []
  /** What is drawn: the same is not drawn again, so that it stays where it was scrolled to. */
  #shown: readonly (RunEnd | undefined)[] = []

  constructor(panel: HTMLElement, page: Page) {
    this.#page = page
    adoptPictureStyle()
    this.#other.addEventListener('change', () => this.#draw())
    panel.append(this.#says, this.#choice, this.#drawn)
  }

  update(file: OpenedFile | undefined) {
    const end = file?.end
    const others = this.#page.files.all.filter((other) => other !== file && other.end && other.end.side !== end?.side)
    // What the file tells may come after what others tell.
    if (file !== this.#file || end !== this.#end || others.length !== this.#others.length) {
      const before = file === this.#file ? this.#others[Number(this.#other.value)] : undefined
      const likely = others.findIndex((other) => (before ? other === before : end && belong(end, other.end as RunEnd)))
      this.#file = file
      this.#end = end
      this.#others = others
      this.#other.replaceChildren(
        el('option', { value: -1 }, 'not shown'),
        ...others.map(({ name }, place) => el('option', { value: place }, name)),
      )
      this.#other.value = `${likely}`
    }
    this.#choice.hidden = end === undefined || others.length === 0
    this.#says.hidden = end !== undefined
    this.#says.textContent =
      file?.progress.kind === 'reading'
        ? 'The run is drawn once the file is read.'
        : 'This file does not tell of its run. Reports do, and streams of vfio-migration save without --no-events.'
    this.#draw()
  }

  #draw() {
    const ends = [this.#file?.end, this.#others[Number(this.#other.value)]?.end]
    if (ends.every((end, place) => end === this.#shown[place]) && this.#shown.length > 0) return
    this.#shown = ends
    const known = ends[0] === undefined ? [] : ends.filter((end) => end !== undefined)
    // Every text in it is escaped by who draws it.
    this.#drawn.innerHTML = known.length > 0 ? picture(runOf(known), { id: 'run' }) : ''
  }
}

/** When what happened in the run that wrote the file. */
export const runTab: Tab = {
  id: 'run',
  label: 'Run',
  open: (panel, page) => new RunView(panel, page),
}
