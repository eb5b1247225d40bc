import { picture, runOfCourse } from '../picture/index.ts'
import { endName } from '../picture/run.ts'
import type { Side } from '../session/report.ts'
import type { Course, Moment, Place, Situation } from '../simulation.ts'
import { el } from './dom.ts'
import { adoptPictureStyle } from './picture-style.ts'
import { explanationOf } from './simulate-words.ts'

const owners: Readonly<Record<Situation['owner'], string>> = {
  save: 'The source owns the guest.',
  restore: 'The destination owns the guest.',
  open: 'The guest was given up, and the destination does not have it.',
}

/** How things stand at both ends, in words. */
export const drawSituation = ({ devices }: Course, situation: Situation): HTMLElement => {
  const state = (place: Place) => el('span', { class: 'state', 'data-state': place }, place)
  const end = (side: Side) => {
    const { guest, phase, bytes, inDoubt, over } = situation[side]
    return el(
      'section',
      { class: 'end', 'data-side': side, 'aria-label': endName(side) },
      el('h3', {}, endName(side)),
      el('p', { class: guest ? 'guest runs' : 'guest' }, guest ? 'The guest runs here.' : 'No guest runs here.'),
      el(
        'ul',
        {},
        ...devices.map(({ id }, place) => el('li', {}, `${id} `, state(situation[side].devices[place] ?? 'gone'))),
      ),
      el(
        'p',
        { class: 'soft' },
        `${over ? 'over' : inDoubt ? 'in doubt' : (phase ?? 'not begun')}, ${bytes} bytes ${side === 'save' ? 'sent' : 'written'}`,
      ),
    )
  }
  return el(
    'div',
    { class: 'situation' },
    end('save'),
    el('p', { class: 'owner', 'data-owner': situation.owner }, owners[situation.owner]),
    end('restore'),
  )
}

/** A moment in its own words, and what it means. */
export const drawMoment = (moment: Moment): HTMLElement => {
  const what = explanationOf(moment)
  return el(
    'div',
    { class: 'moment' },
    el(
      'p',
      { class: 'moment-text' },
      el('span', { class: 'soft' }, `${moment.atMicros} µs ${moment.side ? endName(moment.side) : ''} `),
      moment.text,
    ),
    what !== undefined && el('p', { class: 'explanation' }, what),
  )
}

/** The whole picture of a course, with a line that says where the moment is which is looked at. */
export class Scene {
  readonly element = el('div', { class: 'scene' })
  #stretches: { readonly veil: SVGRectElement; readonly line: SVGPathElement; readonly of: DOMStringMap }[] = []

  constructor() {
    adoptPictureStyle()
  }

  /** Draws a course. Its markup is made by the picture, which escapes every text. */
  show(course: Course) {
    this.element.innerHTML = picture(runOfCourse(course), { id: 'simulated' })
    this.#stretches = [...this.element.querySelectorAll<SVGGElement>('.vm-stretch')].map((stretch) => {
      const veil = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
      const line = document.createElementNS('http://www.w3.org/2000/svg', 'path')
      veil.setAttribute('class', 'veil')
      line.setAttribute('class', 'now')
      stretch.append(veil, line)
      return { veil, line, of: stretch.dataset }
    })
  }

  /** Veils what comes after a moment. */
  to(atMicros: number) {
    for (const { veil, line, of } of this.#stretches) {
      const [from, to, left, width, top, bottom] = ['from', 'to', 'left', 'width', 'top', 'bottom'].map((name) =>
        Number(of[name]),
      ) as [number, number, number, number, number, number]
      const share = to > from ? Math.max(0, Math.min(1, (atMicros - from) / (to - from))) : 1
      const x = left + share * width
      veil.setAttribute('x', `${x}`)
      veil.setAttribute('y', `${top}`)
      veil.setAttribute('width', `${left + width - x}`)
      veil.setAttribute('height', `${bottom - top}`)
      line.setAttribute('d', `M${x} ${top}V${bottom}`)
    }
  }
}
