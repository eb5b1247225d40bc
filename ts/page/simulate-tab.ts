import { isOutline } from '../simulation/outline.ts'
import type { Course, Moment } from '../simulation.ts'
import type { Unreadable } from './bytes.ts'
import type { Decoder } from './decoder.ts'
import { button, el } from './dom.ts'
import { Listbox } from './listbox.ts'
import { Choices } from './simulate-choices.ts'
import { drawFaults, faultsAt } from './simulate-faults.ts'
import { addressOf, textOf, type Words, wordsOf } from './simulate-scenario.ts'
import { drawMoment, drawSituation, Scene } from './simulate-scene.ts'
import type { Page, Shown, Tab } from './tabs.ts'

/** How long a moment stands while the simulation plays, in milliseconds. */
const pace = 350

/** The simulation that is shown when nothing is in the address. */
const usual: Words = [['seed', '1']]

/** A simulated migration, moment by moment, back and forth. */
class SimulateView implements Shown {
  readonly #page: Page
  readonly #decoder: Decoder
  readonly #choices = new Choices((words) => this.#go(words))
  readonly #faults = el('div', { class: 'wrong' })
  readonly #says = el('p', { class: 'banner plain', role: 'status' })
  readonly #scene = new Scene()
  readonly #slider = el('input', { type: 'range', min: 0, max: 0, value: 0, 'aria-label': 'Moment' })
  readonly #place = el('output', { class: 'soft' })
  readonly #play = button('Play', { class: 'primary', 'aria-keyshortcuts': 'Space' }, () => this.#toggle())
  readonly #all = el('input', { type: 'checkbox', id: 'every-moment' })
  readonly #situation = el('div', { class: 'situations' })
  readonly #details = el('div', { class: 'details', 'aria-live': 'off' })
  readonly #replay = el('code', { class: 'replay' })
  readonly #list: Listbox
  #words: Words = usual
  #course: Course | undefined
  #moments: readonly Moment[] = []
  #at = 0
  #timer: number | undefined
  #asked = 0

  constructor(panel: HTMLElement, page: Page, decoder: Decoder) {
    this.#page = page
    this.#decoder = decoder
    this.#list = new Listbox(
      'Moments',
      (index) => this.#row(this.#moments[index] as Moment),
      (index) => this.#to(index),
    )
    this.#list.element.classList.add('moments')
    this.#slider.addEventListener('input', () => this.#to(Number(this.#slider.value)))
    this.#all.addEventListener('change', () => this.#sift())
    const step = (label: string, name: string, by: () => number) =>
      button(label, { 'aria-label': name, class: 'step' }, () => {
        this.#pause()
        this.#to(by())
      })
    panel.append(
      this.#choices.element,
      this.#faults,
      this.#says,
      el(
        'div',
        { class: 'player', role: 'group', 'aria-label': 'Back and forth' },
        step('|◀', 'To the beginning', () => 0),
        step('◀', 'One moment back', () => this.#at - 1),
        this.#play,
        step('▶', 'One moment on', () => this.#at + 1),
        step('▶|', 'To the end', () => this.#moments.length - 1),
        this.#slider,
        this.#place,
        el('label', { class: 'check' }, this.#all, 'every call and message'),
      ),
      this.#situation,
      this.#details,
      this.#scene.element,
      this.#list.element,
      el('p', { class: 'soft' }, 'On the command line: ', this.#replay),
    )
  }

  show(query: URLSearchParams) {
    const words = wordsOf(query)
    this.#words = words.length > 0 ? words : usual
    this.#choices.set(this.#words)
    this.#faults.replaceChildren(drawFaults(this.#words, (changed) => this.#go(changed)))
    this.#replay.textContent = `vfio-migration simulate '${textOf(this.#words)}'`
    this.#simulate()
  }

  key({ key }: KeyboardEvent): boolean {
    const to: Partial<Record<string, number>> = {
      ArrowRight: this.#at + 1,
      ArrowLeft: this.#at - 1,
      Home: 0,
      End: this.#moments.length - 1,
    }
    if (key === ' ') this.#toggle()
    else if (to[key] === undefined) return false
    else {
      this.#pause()
      this.#to(to[key])
    }
    return true
  }

  #go(words: Words) {
    this.#page.go('simulate', addressOf(words))
  }

  async #simulate() {
    this.#pause()
    this.#asked += 1
    const asked = this.#asked
    // What is said until then is of the simulation before.
    this.#says.setAttribute('aria-busy', 'true')
    try {
      const found = await this.#decoder.start({ kind: 'simulate', scenario: textOf(this.#words) }).done
      if (asked !== this.#asked || found.kind !== 'course') return
      this.#course = found.course
      this.#scene.show(found.course)
      this.#say(found.course)
    } catch (error) {
      if (asked !== this.#asked) return
      const { message, remedy } = error as Unreadable
      this.#course = undefined
      this.#tell(`${message}${remedy ? ` (${remedy})` : ''}`, 'bad')
    }
    this.#sift()
    this.#says.setAttribute('aria-busy', 'false')
  }

  #say({ moments, reports, broken }: Course) {
    const last = moments.at(-1)?.then
    const outcomes = `Source: ${reports.save?.outcome ?? 'has not ended'}. Destination: ${reports.restore?.outcome ?? 'has not ended'}.`
    const where = last?.restore.guest
      ? 'The guest runs at the destination.'
      : last?.save.guest
        ? 'The guest runs at the source.'
        : 'The guest runs nowhere.'
    const [rule] = broken
    if (rule) this.#tell(`${outcomes} ${where} A rule was broken: ${rule.rule}.`, 'bad')
    else this.#tell(`${outcomes} ${where}`, 'plain')
  }

  #tell(text: string, look: 'plain' | 'bad') {
    this.#says.className = `banner ${look}`
    this.#says.textContent = text
  }

  /** Takes the moments that are to be seen, and stays near the one that was looked at. */
  #sift() {
    const before = this.#moments[this.#at]?.atMicros ?? 0
    const all = this.#course?.moments ?? []
    this.#moments = this.#all.checked ? all : all.filter(isOutline)
    this.#slider.max = `${Math.max(0, this.#moments.length - 1)}`
    this.#list.setCount(this.#moments.length)
    this.#list.redraw()
    const near = this.#moments.findIndex(({ atMicros }) => atMicros >= before)
    this.#to(near < 0 ? this.#moments.length - 1 : near)
  }

  #to(wanted: number) {
    const index = Math.max(0, Math.min(this.#moments.length - 1, wanted))
    const moment = this.#moments[index]
    this.#at = index
    this.#slider.value = `${index}`
    if (moment === undefined || this.#course === undefined) {
      this.#situation.replaceChildren()
      this.#details.replaceChildren()
      this.#place.textContent = ''
      this.#scene.element.hidden = true
      return
    }
    this.#scene.element.hidden = false
    this.#slider.setAttribute('aria-valuetext', `${moment.atMicros} microseconds: ${moment.text}`)
    this.#place.textContent = `${index + 1} of ${this.#moments.length}`
    this.#situation.replaceChildren(drawSituation(this.#course, moment.then))
    this.#details.replaceChildren(drawMoment(moment), this.#wrongs(moment))
    this.#scene.to(moment.atMicros)
    if (this.#list.current !== index) this.#list.choose(index)
  }

  #wrongs(moment: Moment): HTMLElement {
    const faults = faultsAt(moment)
    if (faults.length === 0) return el('p')
    return el(
      'p',
      { class: 'wrongs', role: 'group', 'aria-label': 'What if this' },
      'What if this ',
      ...faults.map(([fault, label]) =>
        button(label, { 'data-fault': fault }, () => this.#go([...this.#words, ['fault', fault]])),
      ),
    )
  }

  #row(moment: Moment): HTMLElement {
    const bad = moment.type === 'fault' || moment.type === 'broken' || (moment.type === 'answered' && moment.failed)
    return el(
      'div',
      { class: `moment-row ${moment.side ?? 'world'}${bad ? ' bad' : ''}` },
      el('span', { class: 'soft time' }, `${moment.atMicros}`),
      el('span', {}, moment.text),
    )
  }

  #toggle() {
    if (this.#timer !== undefined) this.#pause()
    else {
      if (this.#at >= this.#moments.length - 1) this.#to(0)
      this.#play.textContent = 'Pause'
      this.#timer = window.setInterval(() => {
        if (this.#at >= this.#moments.length - 1 || this.#situation.closest('[hidden]')) this.#pause()
        else this.#to(this.#at + 1)
      }, pace)
    }
  }

  #pause() {
    window.clearInterval(this.#timer)
    this.#timer = undefined
    this.#play.textContent = 'Play'
  }
}

/** Migrations that are simulated in the browser, with what goes wrong in them. What is chosen stands in the address. */
export const simulateTab = (decoder: Decoder): Tab => ({
  id: 'simulate',
  label: 'Simulate',
  withoutFile: true,
  keys: [
    ['← →', 'in a simulation: one moment back, one on'],
    ['Space', 'in a simulation: play, pause'],
    ['Home End', 'in a simulation: its beginning, its end'],
  ],
  open: (panel, page) => new SimulateView(panel, page, decoder),
})
