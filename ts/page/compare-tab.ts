import type { Difference, Place } from '../inspection.ts'
import { bytes } from '../quantity.ts'
import type { Failure, Unreadable } from './bytes.ts'
import type { Decoder } from './decoder.ts'
import { el, facts } from './dom.ts'
import type { OpenedFile } from './files.ts'
import { HexView, type Stretch } from './hex.ts'
import { Listbox } from './listbox.ts'
import { placeOf } from './part-text.ts'
import type { Page, Shown, Tab } from './tabs.ts'
import { judge } from './verdict.ts'

const placeText = (place: Place | undefined) =>
  place ? `${place.len} bytes from ${place.offset}, at byte ${place.at} of the file` : 'none'

/** Two files side by side: what they are, where they differ, and the bytes there. */
class CompareView implements Shown {
  readonly #page: Page
  readonly #decoder: Decoder
  readonly #choices = [el('select', { id: 'compare-first' }), el('select', { id: 'compare-second' })] as const
  readonly #sides = [el('div', { class: 'side' }), el('div', { class: 'side' })] as const
  readonly #hexes = [new HexView('Bytes of the first file'), new HexView('Bytes of the second file')] as const
  readonly #says = el('p', { class: 'banner plain', role: 'status' })
  readonly #list: Listbox
  readonly #details = el('div', { class: 'details' })
  #files: readonly OpenedFile[] = []
  #compared: readonly (OpenedFile | undefined)[] = []
  #differences: readonly Difference[] = []
  #stop: () => void = () => {}

  constructor(panel: HTMLElement, page: Page, decoder: Decoder) {
    this.#page = page
    this.#decoder = decoder
    this.#list = new Listbox(
      'Differences',
      (index) => this.#row(this.#differences[index] as Difference),
      (index) => this.#choose(this.#differences[index] as Difference),
    )
    for (const choice of this.#choices) choice.addEventListener('change', () => this.#compare())
    panel.append(
      el(
        'div',
        { class: 'compare-files' },
        ...this.#choices.map((choice, place) =>
          el('div', {}, el('label', { for: choice.id }, place === 0 ? 'First' : 'Second'), choice, this.#sides[place]),
        ),
      ),
      this.#says,
      this.#list.element,
      this.#details,
      el('div', { class: 'compare-bytes' }, ...this.#hexes.map((hex) => hex.element)),
    )
  }

  update() {
    const { all } = this.#page.files
    if (all.length !== this.#files.length || all.some((file, place) => file !== this.#files[place])) {
      const before = this.#choices.map((choice) => this.#files[Number(choice.value)])
      this.#files = [...all]
      for (const [side, choice] of this.#choices.entries()) {
        choice.replaceChildren(...all.map(({ name }, place) => el('option', { value: place }, `${place + 1}: ${name}`)))
        const kept = this.#files.indexOf(before[side] as OpenedFile)
        choice.value = `${kept >= 0 ? kept : Math.min(side, Math.max(0, all.length - 1))}`
      }
      // With a second file there is something to compare.
      if (all.length > 1 && this.#choices[0].value === this.#choices[1].value) {
        this.#choices[1].value = this.#choices[0].value === '0' ? '1' : '0'
      }
    }
    this.#compare()
    for (const [side, file] of this.#chosen().entries())
      this.#sides[side]?.replaceChildren(...(file ? summary(file) : []))
  }

  #chosen() {
    return this.#choices.map((choice) => this.#files[Number(choice.value)])
  }

  async #compare() {
    const chosen = this.#chosen()
    const [first, second] = chosen
    if (first === this.#compared[0] && second === this.#compared[1]) return
    this.#compared = chosen
    this.#stop()
    this.#show([])
    if (first === undefined || second === undefined || first === second) {
      this.#tell('plain', this.#files.length < 2 ? 'Open two files to compare them.' : 'Choose two different files.')
      return
    }
    if (first.report !== undefined || second.report !== undefined) {
      this.#tell('plain', 'Reports are compared by their pictures, under Run.')
      return
    }
    this.#tell('busy', 'Comparing')
    const size = first.size + second.size
    const progress = (count: number) =>
      this.#tell('busy', `Comparing: ${size > 0 ? Math.floor((count / size) * 100) : 0}% of ${bytes(size)}`)
    const { done, stop } = this.#decoder.start(
      { kind: 'compare', first: first.origin, second: second.origin },
      { progress },
    )
    this.#stop = stop
    try {
      const found = await done
      if (found.kind !== 'differences') return
      this.#show(found.differences)
      const count = found.differences.length
      this.#tell(
        count === 0 ? 'good' : 'bad',
        count === 0 ? 'The same' : `${count} difference${count === 1 ? '' : 's'}`,
      )
    } catch (error) {
      const { message, remedy } = error as Unreadable & Failure
      this.#tell('bad', remedy ? `${message} (${remedy})` : message)
    }
  }

  #tell(tone: string, text: string) {
    this.#says.className = `banner ${tone}`
    this.#says.textContent = text
  }

  #show(differences: readonly Difference[]) {
    this.#differences = differences
    this.#list.choose(-1)
    this.#list.setCount(differences.length)
    this.#list.redraw()
    this.#list.element.hidden = differences.length === 0
    this.#details.replaceChildren()
    for (const hex of this.#hexes) hex.show(undefined)
  }

  #row({ of, what, frame, first, second }: Difference): HTMLElement {
    const where = [first && `${first.at}`, second && `${second.at}`].filter(Boolean).join(' / ')
    return el(
      'div',
      { class: 'frame difference' },
      el('span', { class: 'frame-about' }, of ?? 'the file'),
      el('span', { class: 'frame-len' }, frame === undefined ? '' : `frame ${frame}`),
      el('span', { class: 'frame-type' }, what),
      el('span', { class: 'frame-at' }, where),
    )
  }

  #choose({ of, what, frame, first, second }: Difference) {
    this.#details.replaceChildren(
      el('h3', {}, what, el('span', { class: 'tag' }, of ?? 'the file')),
      facts([
        ['frame', frame === undefined ? undefined : `${frame}`],
        ['in the first', frame === undefined ? undefined : placeText(first)],
        ['in the second', frame === undefined ? undefined : placeText(second)],
      ]),
    )
    const stretches = [first, second].map((place, side): Stretch | undefined => {
      const file = this.#compared[side]
      if (place === undefined || file === undefined) return undefined
      // The bytes themselves, without the frame's header, which differs anyway.
      const part = file.parts[placeOf(file.parts, place.at) ?? -1]
      return { origin: file.origin, at: Number(part?.payload?.at ?? place.at), length: Number(place.len) }
    })
    for (const [side, hex] of this.#hexes.entries()) hex.show(stretches[side], stretches[1 - side])
    this.#page.say(`${of ?? 'the file'}: ${what}`)
  }
}

const summary = (file: OpenedFile): HTMLElement[] => {
  const { tone, title } = judge(file)
  const objects = file.outline?.objects ?? []
  return [
    el('p', { class: tone }, title),
    facts([
      ['size', `${bytes(file.size)} (${file.size})`],
      ...objects.map(({ id, frames, bytes: count }) => [id, `${bytes(count)} in ${frames} frames`] as const),
    ]),
  ]
}

/** Where two files differ. */
export const compareTab = (decoder: Decoder): Tab => ({
  id: 'compare',
  label: 'Side by side',
  open: (panel, page) => new CompareView(panel, page, decoder),
})
