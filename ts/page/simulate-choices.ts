import { el } from './dom.ts'
import { firstOf, type Words, withValue } from './simulate-scenario.ts'

/** What a device of the page speaks: `none` where there is no second one. */
const kinds = [
  ['none', 'no second device'],
  ['fsm', 'fsm (v2)'],
  ['thread', 'region (v1), the thread’s text'],
  ['qemu', 'region (v1), QEMU until 7.2'],
  ['libvfio-user', 'region (v1), libvfio-user'],
] as const

const abilities = [
  ['pre-copy', 'pre-copy'],
  ['p2p', 'P2P states'],
  ['dirty-tracking', 'dirty tracking'],
] as const

/** How a new device of the page is: it can do what its protocol can. */
const usual = 'stop-copy+p2p+pre-copy+dirty-tracking'

type Field = HTMLInputElement | HTMLSelectElement

const labelled = (label: string, field: Field, hint?: string) =>
  el(
    'label',
    { class: 'field' },
    el('span', {}, label),
    field,
    hint !== undefined && el('span', { class: 'soft' }, hint),
  )

const select = (options: readonly (readonly [value: string, label: string])[], id: string) =>
  el('select', { id }, ...options.map(([value, label]) => el('option', { value }, label)))

/** One device: what it speaks, and what it is capable of besides stop-copy. */
class DeviceChoice {
  readonly element: HTMLElement
  readonly #kind: HTMLSelectElement
  readonly #boxes: readonly HTMLInputElement[]

  constructor(place: number, changed: () => void) {
    const offered = place === 0 ? kinds.slice(1) : kinds
    this.#kind = select(offered, `device${place}-kind`)
    this.#boxes = abilities.map(([name]) => el('input', { type: 'checkbox', id: `device${place}-${name}` }))
    this.element = el(
      'fieldset',
      {},
      el('legend', {}, `device${place}`),
      el('label', { class: 'field' }, el('span', {}, 'speaks'), this.#kind),
      ...abilities.map(([, label], at) => el('label', { class: 'check' }, this.#boxes[at], label)),
    )
    this.element.addEventListener('change', () => {
      this.#fit()
      changed()
    })
  }

  set(capabilities: string | undefined, dialect: string) {
    this.#kind.value = capabilities === undefined ? 'none' : dialect
    const set = new Set((capabilities ?? usual).split('+'))
    for (const [at, [name]] of abilities.entries()) (this.#boxes[at] as HTMLInputElement).checked = set.has(name)
    this.#fit()
  }

  get kind() {
    return this.#kind.value
  }

  get capabilities() {
    const chosen = abilities.filter((_, at) => this.#boxes[at]?.checked && !this.#boxes[at]?.disabled)
    return ['stop-copy', ...chosen.map(([name]) => name)].join('+')
  }

  /** A region has pre-copy always, and says only by the thread's text that it has P2P states. */
  #fit() {
    const kind = this.kind
    const region = kind !== 'fsm' && kind !== 'none'
    for (const [at, [name]] of abilities.entries()) {
      const box = this.#boxes[at] as HTMLInputElement
      if (region && name === 'pre-copy') box.checked = true
      box.disabled =
        kind === 'none' || (region && name === 'pre-copy' ? true : region && name === 'p2p' && kind !== 'thread')
    }
  }

  /** What it is capable of where a box cannot be changed. */
  get text() {
    const region = this.kind !== 'fsm' && this.kind !== 'none'
    const capabilities = this.capabilities
    return region && !capabilities.includes('pre-copy') ? `${capabilities}+pre-copy` : capabilities
  }
}

/** Words that a field of the page stands for, in the order in which they stand there. */
const fields = [
  ['data', 'data of each device', 'bytes'],
  ['pages', 'guest memory', 'pages of 4 KiB'],
  ['seed', 'seed', 'decides what is left to chance'],
] as const

const ways = [
  ['connected', 'connection'],
  ['pipe', 'pipe, one-way'],
  ['file', 'file, one-way'],
] as const

const settles = [
  ['source', 'for the source'],
  ['destination', 'for the destination'],
  ['nobody', 'nobody does'],
] as const

const plain: Readonly<Record<string, string>> = {
  data: '20480',
  pages: '16',
  seed: '1',
  way: 'connected',
  settle: 'source',
}

/** What is chosen for a simulation. What the page has no field for is kept as it stands in the address. */
export class Choices {
  readonly element: HTMLElement
  readonly #devices: readonly DeviceChoice[]
  readonly #fields = new Map<string, Field>()
  readonly #noP2P = el('input', { type: 'checkbox', id: 'no-p2p-traffic' })
  #words: Words = []

  constructor(changed: (words: Words) => void) {
    const take = () => changed(this.#read())
    this.#devices = [0, 1].map((place) => new DeviceChoice(place, take))
    const inputs = fields.map(([word, label, hint]) => {
      const input = el('input', { type: 'number', id: `choice-${word}`, min: 0, step: 1, inputmode: 'numeric' })
      this.#fields.set(word, input)
      return labelled(label, input, hint)
    })
    const [way, settle] = [select(ways, 'choice-way'), select(settles, 'choice-settle')]
    this.#fields.set('way', way)
    this.#fields.set('settle', settle)
    this.element = el(
      'form',
      { class: 'choices', 'aria-label': 'What is simulated' },
      ...this.#devices.map(({ element }) => element),
      el(
        'fieldset',
        {},
        el('legend', {}, 'migration'),
        ...inputs,
        labelled('through a', way),
        labelled('doubt is settled', settle),
        el('label', { class: 'check' }, this.#noP2P, 'callers’ word: no P2P traffic'),
      ),
    )
    this.element.addEventListener('submit', (event) => event.preventDefault())
    for (const field of [...this.#fields.values(), this.#noP2P]) field.addEventListener('change', take)
  }

  /** Shows these words. */
  set(words: Words) {
    this.#words = words
    const devices = (firstOf(words, 'devices') ?? usual).split(',')
    const dialects = (firstOf(words, 'dialects') ?? '').split(',')
    for (const [place, device] of this.#devices.entries()) device.set(devices[place], dialects[place] || 'fsm')
    for (const [word, field] of this.#fields) field.value = firstOf(words, word) ?? (plain[word] as string)
    this.#noP2P.checked = firstOf(words, 'no-p2p-traffic') === 'yes'
  }

  #read(): Words {
    const [first, second] = this.#devices as [DeviceChoice, DeviceChoice]
    const chosen = second.kind === 'none' ? [first] : [first, second]
    const sets = chosen.map(({ text }) => text).join(',')
    const dialects = chosen.map(({ kind }) => kind).join(',')
    let words = withValue(this.#words, 'devices', sets === usual ? undefined : sets)
    words = withValue(words, 'dialects', chosen.some(({ kind }) => kind !== 'fsm') ? dialects : undefined)
    for (const [word, { value }] of this.#fields) {
      words = withValue(words, word, value === '' || (value === plain[word] && word !== 'seed') ? undefined : value)
    }
    for (const word of ['no-p2p-traffic', 'restore-no-p2p-traffic']) {
      words = withValue(words, word, this.#noP2P.checked ? 'yes' : undefined)
    }
    this.#words = words
    return words
  }
}
