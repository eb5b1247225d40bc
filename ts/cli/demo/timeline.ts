import type { SeenState } from '../../states.ts'
import type { Paint } from '../paint.ts'
import { columns } from '../paint.ts'
import { duration } from '../quantity.ts'
import type { Course, EndCourse, Span } from './course.ts'

type Colour = keyof Paint

/** How a state is drawn. */
const glyphs: Record<string, { readonly glyph: string; readonly colour: Colour }> = {
  running: { glyph: '━', colour: 'green' },
  'running-p2p': { glyph: '┅', colour: 'green' },
  'pre-copy': { glyph: '▒', colour: 'cyan' },
  'pre-copy-p2p': { glyph: '▓', colour: 'cyan' },
  'stop-copy': { glyph: '█', colour: 'yellow' },
  resuming: { glyph: '░', colour: 'magenta' },
  stop: { glyph: '·', colour: 'dim' },
  error: { glyph: '×', colour: 'red' },
}
const guest = { glyph: '▄', colour: 'green' } as const
const unknown = { glyph: '?', colour: 'red' } as const

/** What fills most of each column. */
const lane = (spans: readonly Span<string>[], from: number, scale: number, width: number, paint: Paint) =>
  Array.from({ length: width }, (_, column) => {
    const [start, end] = [from + column * scale, from + (column + 1) * scale]
    let best: { readonly what: string; readonly share: number } | undefined
    for (const span of spans) {
      const share = Math.min(end, span.to) - Math.max(start, span.from)
      if (share > 0 && share > (best?.share ?? 0)) best = { what: span.what, share }
    }
    if (best === undefined) return ' '
    const { glyph, colour } = best.what === 'runs' ? guest : (glyphs[best.what] ?? unknown)
    return paint[colour](glyph)
  }).join('')

/** A scale in round numbers of milliseconds. */
const axis = (length: number, width: number) => {
  const rough = (length / width) * 14
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 0.001)))
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power
  const row = Array.from({ length: width }, () => ' ')
  for (let at = 0; at < length; at += step) {
    const column = Math.round((at / length) * width)
    const label = `╷${at >= 1 || at === 0 ? Math.round(at) : at.toFixed(1)}${at === 0 ? ' ms' : ''}`
    if (column + label.length <= width) row.splice(column, label.length, ...label)
  }
  return row.join('')
}

const statesOf = (end: EndCourse) => [...end.states].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))

/** When the guest ran nowhere: from its pause at the source until it ran at the destination, or here again. */
const downtime = ({ save, restore }: Course) => {
  const from = save.guest[0]?.to
  const to = restore.guest[0]?.from ?? save.guest[1]?.from
  return from !== undefined && to !== undefined && Number.isFinite(from) && to > from ? { from, to } : undefined
}

const mark = (
  span: { readonly from: number; readonly to: number },
  text: string,
  from: number,
  scale: number,
  width: number,
) => {
  const start = Math.max(0, Math.floor((span.from - from) / scale))
  const end = Math.min(width, Math.max(start + 2, Math.ceil((span.to - from) / scale)))
  const line = `${' '.repeat(start)}╰${'─'.repeat(Math.max(0, end - start - 2))}╯`
  return line.length + text.length + 1 <= width
    ? `${line} ${text}`
    : `${' '.repeat(Math.max(0, start - text.length - 1))}${text} ╰${'─'.repeat(Math.max(0, end - start - 2))}╯`
}

/** Draws who was in which state when, at both ends, as lines of at most so many columns. */
export const timeline = (course: Course, width: number, paint: Paint): string[] => {
  const { save, restore } = course
  const ends = [save, restore]
  const starts = ends.flatMap((end) => end.guest.map((span) => span.from).concat(end.started ?? []))
  const stops = ends.flatMap((end) =>
    end.events.flatMap((event) => ('atMicros' in event ? [(end.started ?? 0) + event.atMicros / 1000] : [])),
  )
  const from = Math.min(...starts)
  // The guest is shown a little longer than the session, to see it go on.
  const length = (Math.max(...stops) - from) * 1.12
  const name = Math.max(11, ...statesOf(save).map(([id]) => id.length + 2))
  const room = Math.max(20, width - name - 2)
  const scale = length / room
  const row = (title: string, body: string) => `${title.padEnd(name)}  ${body}`.trimEnd()
  const down = downtime(course)
  const end = (title: string, one: EndCourse) => [
    row(paint.bold(title), '').padEnd(name),
    row('  guest', lane(one.guest, from, scale, room, paint)),
    ...statesOf(one).map(([id, spans]) => row(`  ${id}`, lane(spans as Span<SeenState>[], from, scale, room, paint))),
  ]
  return [
    row('', paint.dim(axis(length, room))),
    ...end('source', save),
    ...end('destination', restore),
    ...(down
      ? [
          row(
            '',
            paint.yellow(mark(down, `no guest runs: ${duration((down.to - down.from) * 1000)}`, from, scale, room)),
          ),
        ]
      : []),
    '',
    legend(width, paint),
  ]
}

const legend = (width: number, paint: Paint) => {
  const parts = [`${paint.green(guest.glyph)} guest runs`]
  for (const state of ['running', 'pre-copy', 'stop-copy', 'resuming', 'stop']) {
    const { glyph, colour } = glyphs[state] ?? unknown
    const part = `${paint[colour](glyph)} ${state}`
    if (columns([...parts, part].join('   ')) <= width - 2) parts.push(part)
  }
  return `  ${parts.join('   ')}`
}
