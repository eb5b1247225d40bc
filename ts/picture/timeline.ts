import { bytes, duration } from '../quantity.ts'
import { drawEnd, type Layout, type Rows, widthOf } from './lanes.ts'
import { element, texted } from './markup.ts'
import { patterns } from './palette.ts'
import { extentOf, type Run, type RunEnd, type Span, switchoverOf } from './run.ts'
import { type Scale, scaleOf, ticksOf } from './scale.ts'
import { sentencesOf } from './words.ts'

/** How a drawing is made. */
export interface DrawingOptions {
  /** Its width in pixels, at least 280: it is laid out for it, texts do not shrink. */
  readonly width: number
  /** What the ids within it begin with: another one for each drawing of a page. @default 'vm' */
  readonly id?: string
}

/** A switchover that takes less than this share of a run is drawn again, as wide as the picture. */
const small = 0.4
/** What is shown of the time around it, as a share of it. */
const around = 0.08
/** From here on names stand beside lanes. */
const wide = 600

const drawAxis = (scale: Scale, zero: number, top: number, bottom: number): string =>
  ticksOf(scale, zero)
    .map(({ atMicros, label }) => {
      const x = scale.at(atMicros)
      const half = widthOf(label, 11) / 2
      const anchor = x - half < scale.left - 12 ? 'start' : x + half > scale.left + scale.width + 4 ? 'end' : 'middle'
      return (
        element('path', { d: `M${x.toFixed(2)} ${top + 16}V${bottom.toFixed(2)}`, class: 'vm-grid' }) +
        texted('text', { x, y: top + 11, 'text-anchor': anchor, class: 'vm-small vm-soft vm-tick' }, label)
      )
    })
    .join('')

/** Bytes over time, both ends over one another: the source filled, the destination dashed. */
const drawFlow = (ends: readonly RunEnd[], top: number, height: number, { scale, gutter }: Layout): string => {
  const most = Number(
    ends.reduce((sum, { flow }) => ((flow.at(-1)?.bytes ?? 0n) > sum ? (flow.at(-1)?.bytes ?? 0n) : sum), 0n),
  )
  const bottom = top + height
  const curve = ({ side, flow, toMicros }: RunEnd): string => {
    const last = flow.at(-1)
    const first = flow[0]
    if (last === undefined || first === undefined) return ''
    const points = [...flow, { ...last, atMicros: Math.max(last.atMicros, toMicros) }].map(
      (sample) =>
        `${scale.at(sample.atMicros).toFixed(2)} ${(bottom - (Number(sample.bytes) / most) * height).toFixed(2)}`,
    )
    const line = `M${points.join('L')}`
    const area = `${line}L${scale.at(Math.max(last.atMicros, toMicros)).toFixed(2)} ${bottom}L${scale.at(first.atMicros).toFixed(2)} ${bottom}Z`
    return (
      (side === 'save' || ends.length === 1 ? element('path', { d: area, class: 'vm-area' }) : '') +
      element('path', { d: line, class: `vm-curve vm-${side}` })
    )
  }
  const label =
    gutter > 0
      ? texted('text', { x: gutter - 10, y: top + 4, 'text-anchor': 'end' }, bytes(most)) +
        texted('text', { x: gutter - 10, y: top + 20, 'text-anchor': 'end', class: 'vm-small vm-soft' }, 'moved')
      : texted('text', { x: scale.left + 4, y: top + 11, class: 'vm-small' }, `${bytes(most)} moved`)
  const base = `M${scale.left} ${bottom}H${scale.left + scale.width}M${scale.left} ${top}H${scale.left + scale.width}`
  return element('g', { class: 'vm-moved' }, element('path', { d: base, class: 'vm-grid' }), ...ends.map(curve), label)
}

/** The downtime as a bracket with its length: what goes below everything that happened in it, and what goes above. */
const drawSwitchover = (down: Span<unknown>, top: number, bottom: number, { scale }: Layout) => {
  const [from, to] = [scale.at(down.fromMicros), scale.at(down.toMicros)]
  const [left, right] = [Math.min(from, to - 1), Math.max(to, from + 1)]
  const text = `no guest runs: ${duration(down.toMicros - down.fromMicros)}`
  const half = widthOf(text) / 2 + 4
  const x = Math.max(scale.left + half, Math.min(scale.left + scale.width - half, (left + right) / 2))
  const edge = `M${left.toFixed(2)} ${bottom}V${top + 18}H${right.toFixed(2)}V${bottom}`
  return {
    below: element('rect', { x: left, y: top + 18, width: right - left, height: bottom - top - 18, class: 'vm-down' }),
    above:
      element('path', { d: edge, class: 'vm-down-edge' }) +
      texted('text', { x, y: top + 12, 'text-anchor': 'middle', class: 'vm-down-text' }, text),
  }
}

/** A stretch of the run: its axis, the bytes if they are asked for, and everything of both ends. */
const drawStretch = (run: Run, down: Span<unknown> | undefined, top: number, layout: Layout, flow: boolean): Rows => {
  let y = top + 22
  const switchover = y
  if (down) y += 24
  let moved = ''
  if (flow && run.ends.some((end) => end.flow.some((sample) => sample.bytes > 0n))) {
    moved = drawFlow(run.ends, y + 4, 72, layout)
    y += 88
  }
  const ends: string[] = []
  for (const end of run.ends) {
    const rows = drawEnd(end, y, layout)
    ends.push(rows.markup)
    y = rows.bottom + 8
  }
  const bracket = down ? drawSwitchover(down, switchover, y, layout) : { below: '', above: '' }
  const markup = [drawAxis(layout.scale, layout.zero, top, y), bracket.below, moved, ...ends, bracket.above]
  const { fromMicros, toMicros, left, width } = layout.scale
  // For whoever puts something into the picture: a page that shows a moment of it.
  const axis = { 'data-from': fromMicros, 'data-to': toMicros, 'data-left': left, 'data-width': width }
  const place = { ...axis, 'data-top': top, 'data-bottom': y }
  return { markup: element('g', { class: 'vm-stretch', ...place }, ...markup), bottom: y }
}

/** Between the whole run and its switchover: where the one lies in the other. */
const drawLens = (from: Scale, to: Scale, top: number, text: string): Rows => {
  const [left, right] = [from.at(to.fromMicros), from.at(to.toMicros)]
  const bottom = top + 30
  const sides = `M${left.toFixed(2)} ${top}L${to.left} ${bottom}H${to.left + to.width}L${right.toFixed(2)} ${top}Z`
  return {
    markup:
      element('path', { d: sides, class: 'vm-down' }) +
      texted('text', { x: to.left + 8, y: bottom - 7, class: 'vm-small vm-down-text' }, text),
    bottom: bottom + 4,
  }
}

/**
 * The timeline of a run, as an SVG of this width: the phases of each end, the bytes over time, a lane a device coloured
 * by its states, what went wrong marked where it happened, and the switchover, drawn again as wide as the picture where
 * it is short. Looks as `pictureStyle` says.
 */
export const timeline = (run: Run, { width: wanted, id = 'vm' }: DrawingOptions): string => {
  const width = Math.max(280, Math.round(wanted))
  const names = run.ends.flatMap(({ objects }) => objects.filter(({ kind }) => kind === 'device').map((one) => one.id))
  const longest = Math.max(10, ...names.map((name) => name.length))
  const gutter = width >= wide ? Math.min(190, longest * 6.8 + 18) : 0
  const [left, room] = [gutter > 0 ? gutter : 6, width - (gutter > 0 ? gutter : 6) - 8]
  const { fromMicros, toMicros } = extentOf(run)
  const whole: Layout = { scale: scaleOf(fromMicros, toMicros, left, room), gutter, zero: fromMicros, id }
  const down = switchoverOf(run)
  const first = drawStretch(run, down, 0, whole, true)
  let { markup, bottom } = first
  const long = down ? down.toMicros - down.fromMicros : 0
  if (down && long > 0 && long < small * (toMicros - fromMicros)) {
    const scale = scaleOf(
      Math.max(fromMicros, down.fromMicros - around * long),
      Math.min(toMicros, down.toMicros + around * long),
      left,
      room,
    )
    const times = Math.round((toMicros - fromMicros) / (scale.toMicros - scale.fromMicros))
    const lens = drawLens(
      whole.scale,
      scale,
      bottom,
      `the switchover, ${times > 1 ? `${times} times as wide` : 'wider'}`,
    )
    const again = drawStretch(run, down, lens.bottom, { ...whole, scale, zero: down.fromMicros }, false)
    markup += element('g', { class: 'vm-close' }, lens.markup, again.markup)
    bottom = again.bottom
  }
  const height = Math.ceil(bottom + 4)
  const [title, ...rest] = sentencesOf(run)
  return element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      class: 'vm vm-timeline',
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: 'img',
      'aria-labelledby': `${id}-title ${id}-desc`,
    },
    texted('title', { id: `${id}-title` }, title ?? 'A migration'),
    texted('desc', { id: `${id}-desc` }, rest.join(' ')),
    patterns(id),
    markup,
  )
}
