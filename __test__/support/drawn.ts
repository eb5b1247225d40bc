// What stands in a timeline, in numbers.
import type { ExecutionContext } from 'ava'
import { extentOf, type Run, type Span, switchoverOf, timeline } from 'vfio-migration/picture'
import { all, type Node, numberOf, only, parseMarkup } from './markup.js'

/** Pixels are rounded to hundredths when they are written. */
const rounding = 0.02
/** Narrowest box that can be seen. */
const narrowest = 0.75

interface Place {
  readonly x: number
  readonly width: number
}

const placeOf = (rect: Node): Place => ({ x: numberOf(rect, 'x'), width: numberOf(rect, 'width') })

/** Where a span has to be drawn in a stretch of time that is as wide as a lane. */
const expected = (span: Span<unknown>, extent: Span<unknown>, { x, width }: Place): Place | undefined => {
  const long = Math.max(1, extent.toMicros - extent.fromMicros)
  if (span.toMicros < extent.fromMicros || span.fromMicros > extent.fromMicros + long) return undefined
  const at = (micros: number) => x + (Math.min(Math.max(micros - extent.fromMicros, 0), long) / long) * width
  const from = at(span.fromMicros)
  return { x: from, width: Math.max(at(span.toMicros) - from, narrowest) }
}

const near = (t: ExecutionContext, found: Place, wanted: Place, what: string) => {
  if (Math.abs(found.x - wanted.x) > rounding) t.fail(`${what}: x is ${found.x}, not ${wanted.x}`)
  if (Math.abs(found.width - wanted.width) > rounding) t.fail(`${what}: width is ${found.width}, not ${wanted.width}`)
}

/** Compares every lane, phase and bracket of a timeline with the times of the run; gives the picture. */
export const drawnAsTold = (t: ExecutionContext, run: Run, width: number): Node => {
  const svg = only(parseMarkup(timeline(run, { width })), 'svg')
  t.is(numberOf(svg, 'width'), width)
  const stretches = all(svg, 'g.vm-stretch')
  const down = switchoverOf(run)
  const whole = { what: 'run', ...extentOf(run) }
  const long = down ? down.toMicros - down.fromMicros : 0
  const extents = [
    whole,
    ...(stretches.length > 1
      ? [
          {
            what: 'switchover',
            fromMicros: Math.max(whole.fromMicros, (down?.fromMicros ?? 0) - 0.08 * long),
            toMicros: Math.min(whole.toMicros, (down?.toMicros ?? 0) + 0.08 * long),
          },
        ]
      : []),
  ]
  t.is(stretches.length, extents.length)
  for (const [turn, stretch] of stretches.entries()) {
    const extent = extents[turn] as Span<string>
    t.is(all(stretch, 'rect.vm-down').length, down ? 1 : 0)
    for (const end of run.ends) {
      const group = only(stretch, `g.vm-of-${end.side}`)
      const lanes = all(group, 'g.vm-lane')
      const devices = end.objects.filter(({ kind }) => kind === 'device')
      t.is(lanes.length, devices.length)
      for (const [place, lane] of lanes.entries()) {
        const device = devices[place] as (typeof devices)[number]
        if (!lane.text.startsWith(`${device.id} at the `)) t.fail(lane.text)
        const rest = placeOf(only(lane, 'rect.vm-rest'))
        const states = device.states.flatMap((span) => {
          const wanted = expected(span, extent, rest)
          return wanted === undefined ? [] : [{ ...wanted, what: span.what }]
        })
        const boxes = all(lane, 'g.vm-state')
        if (boxes.length !== states.length) t.fail(`${device.id}, ${extent.what}: ${boxes.length} states`)
        for (const [at, box] of boxes.entries()) {
          const { what, ...wanted } = states[at] as Place & { readonly what: string }
          const rect = all(box, 'rect')[0] as Node
          const colour = what.startsWith('unknown') ? 'vm-unknown' : `vm-${what}`
          if (rect.attributes.class !== colour)
            t.fail(`${device.id} in ${what} has the colour ${rect.attributes.class}`)
          near(t, placeOf(rect), wanted, `${extent.what}: ${device.id} in ${what}`)
        }
        if (down) {
          const bracket = placeOf(only(stretch, 'rect.vm-down'))
          const wanted = expected(down, extent, rest) as Place
          if (wanted.width >= 2) near(t, bracket, wanted, `${extent.what}: downtime`)
          else t.true(bracket.width >= 1 && Math.abs(bracket.x - wanted.x) <= 1 + rounding)
        }
        const phases = end.phases.flatMap((span) => expected(span, extent, rest) ?? [])
        const strip = all(group, 'g.vm-phase').map((phase) => placeOf(only(phase, 'rect')))
        if (strip.length !== phases.length) t.fail(`${extent.what}: ${strip.length} phases`)
        for (const [at, box] of strip.entries()) near(t, box, phases[at] as Place, `${extent.what}: phase ${at}`)
      }
    }
  }
  return svg
}

/** Pixels of the lanes of a stretch: from the left, and how many. */
export const laneOf = (stretch: Node): Place => placeOf(all(stretch, 'rect.vm-rest')[0] as Node)

/** Where a mark was drawn, and what it says. */
export const marksIn = (node: Node): { readonly x: number; readonly text: string; readonly trouble: boolean }[] =>
  all(node, 'g.vm-mark').map((mark) => ({
    x: Number(/^translate\(([-\d.]+) /.exec(mark.attributes.transform ?? '')?.[1]),
    text: only(mark, 'title').text,
    trouble: (mark.attributes.class ?? '').includes('vm-trouble'),
  }))
