import { duration } from '../quantity.ts'
import { element, shortened, texted } from './markup.ts'
import { classOf, lookOf, patternOf, phaseKinds } from './palette.ts'
import { endName, type Mark, type RunEnd, type RunObject, type Span } from './run.ts'
import type { Scale } from './scale.ts'

/** How rows are laid out. */
export interface Layout {
  readonly scale: Scale
  /** Pixels for names on the left; with none they stand above what they name. */
  readonly gutter: number
  /** From which moment times are told. */
  readonly zero: number
  /** What the ids of the drawing begin with. */
  readonly id: string
}

/** Rows that were drawn, and where the next one goes. */
export interface Rows {
  readonly markup: string
  readonly bottom: number
}

/** How wide a text will be, nearly: nobody here can measure it. */
export const widthOf = (text: string, size = 12): number => text.length * size * 0.56

const radius = 7

const signs: Partial<Record<Mark['what'], string>> = {
  failed: 'M-2.6-2.6l5.2 5.2M2.6-2.6l-5.2 5.2',
  reset: 'M3.2-1.6A3.6 3.6 0 1 0 3.4 1.2M3.5-4.2v2.7h-2.7',
  'given-up': 'M-3.4 0h6.6M.6-2.8l2.8 2.8-2.8 2.8',
  overdue: 'M0-3.4v3.6l2.4 1.6',
  'too-late': 'M0-3.4v3.6l2.4 1.6',
  'in-doubt': 'M-1.8-1.6a1.9 1.9 0 1 1 2.6 1.8q-.8.4-.8 1.2M0 3.4v.1',
  reinit: 'M-3 0h6M0-3v6',
  'tracker-lost': 'M-3-1.2h6M-3 1.4h6M-1.6 3.6l3.2-7.2',
}
const troubles: ReadonlySet<Mark['what']> = new Set(['failed', 'reset', 'overdue', 'in-doubt', 'tracker-lost'])

const within = ({ fromMicros, toMicros }: Scale, at: number) => at >= fromMicros && at <= toMicros

/** Marks of one row, side by side where they would hide each other; `stem` leads from there to their very moment. */
const drawMarks = (marks: readonly Mark[], y: number, { scale, zero }: Layout, stem?: number): string => {
  let last = Number.NEGATIVE_INFINITY
  return marks
    .filter(({ what, atMicros }) => what in signs && within(scale, atMicros))
    .map(({ what, atMicros, text, object }) => {
      const x = Math.max(scale.at(atMicros), last + 2 * radius)
      last = x
      const told = `${duration(Math.max(0, atMicros - zero))}: ${object === undefined ? '' : `${object}: `}${text}`
      return element(
        'g',
        { class: `vm-mark${troubles.has(what) ? ' vm-trouble' : ''}`, transform: `translate(${x.toFixed(2)} ${y})` },
        texted('title', {}, told),
        stem === undefined ? '' : element('line', { x1: 0, x2: scale.at(atMicros) - x, y1: radius, y2: stem - y }),
        element('circle', { r: radius }),
        element('path', { d: signs[what] }),
      )
    })
    .join('')
}

/** A box for a span, if any of it is in sight: as wide as its time, but never too narrow to be seen. */
const box = ({ fromMicros, toMicros }: Span<unknown>, scale: Scale) => {
  if (toMicros < scale.fromMicros || fromMicros > scale.toMicros) return undefined
  const x = scale.at(fromMicros)
  return { x, width: Math.max(scale.at(toMicros) - x, 0.75) }
}

const drawPhases = (end: RunEnd, y: number, height: number, { scale, zero }: Layout): string =>
  end.phases
    .map((span) => {
      const place = box(span, scale)
      if (place === undefined) return ''
      const kind = phaseKinds[span.what] ?? 'quiet'
      const name = span.what.replaceAll('-', ' ')
      const fits = widthOf(name, 10.5) + 6 <= place.width
      const style = kind === 'down' || kind === 'bad' ? `vm-phase-${kind}` : `vm-${kind}`
      return element(
        'g',
        { class: 'vm-phase' },
        texted('title', {}, `${name}: from ${told(span, zero)}`),
        element('rect', { ...place, y, height, class: style }),
        fits
          ? texted(
              'text',
              { x: place.x + 4, y: y + height - 4, class: kind === 'quiet' ? 'vm-on-quiet' : 'vm-on' },
              name,
            )
          : '',
      )
    })
    .join('')

const told = ({ fromMicros, toMicros }: Span<unknown>, zero: number) =>
  `${since(fromMicros, zero)}, for ${duration(toMicros - fromMicros)}`

const since = (micros: number, zero: number) =>
  micros < zero ? `−${duration(zero - micros)}` : duration(micros - zero)

/** The states of a device, with as much of their names as there is room for beside the marks at these pixels. */
const drawStates = (
  { states }: RunObject,
  y: number,
  height: number,
  { scale, zero, id }: Layout,
  taken: readonly number[],
): string =>
  states
    .map((span) => {
      const place = box(span, scale)
      if (place === undefined) return ''
      const shape = { ...place, y, height }
      const fill = height >= 8 ? patternOf(span.what, id) : undefined
      const { letter } = lookOf(span.what)
      const hidden = taken.some((x) => Math.abs(x - place.x) <= radius) ? radius + 1 : 0
      const name = [span.what, letter].find((text) => height >= 14 && widthOf(text, 11.5) + 5 + hidden <= place.width)
      return element(
        'g',
        { class: 'vm-state' },
        texted('title', {}, `${span.what}: from ${told(span, zero)}`),
        element('rect', { ...shape, class: classOf(span.what) }),
        fill === undefined ? '' : element('rect', { ...shape, fill }),
        name === undefined
          ? ''
          : texted(
              'text',
              { x: place.x + hidden + (name === letter ? 3 : 5), y: y + height - 5, class: 'vm-in' },
              name,
            ),
      )
    })
    .join('')

/** Most devices of an end that have a lane of full height, and that have a lane with a name at all. */
const [roomy, named] = [12, 40]

/** The name of a row: in the gutter, or above. */
const nameRow = (name: string, y: number, height: number, { gutter, scale }: Layout): Rows => {
  if (gutter > 0) {
    const text = shortened(name, Math.floor((gutter - 14) / 6.7))
    const attributes = { x: gutter - 10, y: y + height / 2 + 4, 'text-anchor': 'end', class: 'vm-name' }
    return { markup: texted('text', attributes, text), bottom: y }
  }
  const text = shortened(name, Math.floor(scale.width / 6.7))
  return {
    markup: texted('text', { x: scale.left, y: y + 11, class: 'vm-name vm-small vm-soft' }, text),
    bottom: y + 15,
  }
}

/** One end: its name and outcome, its phases, the guest where that is known, and a lane for each device. */
export const drawEnd = (end: RunEnd, top: number, layout: Layout): Rows => {
  const { scale } = layout
  const name = endName(end.side)
  const start = layout.gutter > 0 ? 0 : scale.left
  const parts: string[] = [
    texted('text', { x: start, y: top + 13, class: 'vm-end' }, name),
    end.outcome === undefined
      ? ''
      : texted(
          'text',
          {
            x: start + widthOf(name, 13.5) + 6,
            y: top + 13,
            class: `vm-small ${end.outcome === 'completed' ? 'vm-good' : 'vm-bad'}`,
          },
          end.outcome.replace('-', ' '),
        ),
  ]
  let y = top + 20
  const row = (name: string, height: number, gap: number, content: (y: number) => string) => {
    const label = name === '' ? { markup: '', bottom: y } : nameRow(name, y, height, layout)
    y = label.bottom
    parts.push(label.markup, content(y))
    y += height + gap
  }
  row(layout.gutter > 0 ? 'phases' : '', 16, 5, (at) => drawPhases(end, at, 16, layout))
  if (end.guest) {
    const spans = end.guest.flatMap((span) => box(span, scale) ?? [])
    row('guest runs', 6, 6, (at) =>
      spans.map((place) => element('rect', { ...place, y: at, height: 6, class: 'vm-guest' })).join(''),
    )
  }
  const devices = end.objects.filter(({ kind }) => kind === 'device')
  const height = devices.length <= roomy ? 20 : devices.length <= named ? 14 : 5
  const own = new Map<string | undefined, Mark[]>()
  const ids = new Set(devices.map(({ id }) => id))
  for (const mark of end.marks) {
    const of = mark.object !== undefined && ids.has(mark.object) ? mark.object : undefined
    own.set(of, [...(own.get(of) ?? []), mark])
  }
  // Over everything else: what went wrong must be seen.
  const marks: string[] = [drawMarks(own.get(undefined) ?? [], top + 9, layout, top + 36)]
  if (devices.length > named) parts.push(nameRow(`${devices.length} devices`, y, height, layout).markup)
  if (devices.length > named && layout.gutter === 0) y += 15
  for (const device of devices) {
    row(devices.length <= named ? device.id : '', height, height > 5 ? 4 : 1, (at) => {
      const here = own.get(device.id) ?? []
      marks.push(drawMarks(here, at + height / 2, layout))
      const taken = here.map(({ atMicros }) => scale.at(atMicros))
      return element(
        'g',
        { class: 'vm-lane' },
        texted('title', {}, `${device.id} at the ${endName(end.side)}`),
        element('rect', { x: scale.left, y: at, width: scale.width, height, class: 'vm-rest' }),
        drawStates(device, at, height, layout, taken),
      )
    })
  }
  return { markup: element('g', { class: `vm-of-${end.side}` }, ...parts, ...marks), bottom: y }
}
