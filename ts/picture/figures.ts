import { bytes, duration } from '../quantity.ts'
import type { Downtime } from '../session/report.ts'
import { whyPreCopyEnded } from './marks.ts'
import { type Attributes, element, escaped, texted } from './markup.ts'
import { endName, extentOf, type Run, type RunEnd, switchoverOf } from './run.ts'
import { outcomeOf, resetsOf } from './words.ts'

const exactly = (count: bigint) => `${count.toString().replace(/\B(?=(\d{3})+$)/g, '\u202f')} bytes`

/** A number that a run is judged by. */
interface Figure {
  readonly name: string
  readonly value: string
  /** The same more exactly, or what it means. */
  readonly note?: string
  readonly bad?: boolean
}

const figuresOf = (run: Run): Figure[] => {
  const outcome = outcomeOf(run)
  const down = switchoverOf(run)
  const { fromMicros, toMicros } = extentOf(run)
  const resets = resetsOf(run)
  const end = run.ends.find(({ bytes: count }) => count !== undefined)
  const preCopy = run.ends.find(({ preCopyEnd }) => preCopyEnd !== undefined)?.preCopyEnd
  const missed = run.missedPages
  return [
    {
      name: 'outcome',
      value: outcome?.replace('-', ' ') ?? 'not ended',
      bad: outcome !== undefined && outcome !== 'completed',
    },
    ...(end?.bytes === undefined ? [] : [{ name: 'moved', value: bytes(end.bytes), note: exactly(end.bytes) }]),
    { name: 'time', value: duration(toMicros - fromMicros) },
    ...(end?.rate === undefined ? [] : [{ name: 'rate', value: `${bytes(end.rate)}/s`, note: 'while data flowed' }]),
    ...(down
      ? [
          {
            name: 'downtime',
            value: duration(down.toMicros - down.fromMicros),
            note: down.what === 'save' ? 'no guest runs' : 'what the destination sees of it',
          },
        ]
      : []),
    { name: 'resets', value: String(resets), bad: resets > 0 },
    ...(missed === undefined
      ? []
      : [{ name: 'pages missed', value: String(missed), note: 'of guest memory', bad: missed > 0 }]),
    ...(preCopy === undefined
      ? []
      : [{ name: 'pre-copy ended', value: preCopy.replace('-', ' '), note: whyPreCopyEnded(preCopy) }]),
  ]
}

/** The numbers that a run is judged by, as a list for HTML. */
export const figures = (run: Run): string =>
  element(
    'dl',
    { class: 'vm-figures' },
    ...figuresOf(run).map(({ name, value, note, bad }) =>
      element(
        'div',
        bad ? { class: 'vm-wrong' } : {},
        texted('dt', {}, name),
        element('dd', {}, escaped(value), note === undefined ? '' : texted('small', {}, note)),
      ),
    ),
  )

const parts: readonly (readonly [keyof Downtime, string])[] = [
  ['pauseMicros', 'pause'],
  ['graceMicros', 'grace'],
  ['stopMicros', 'stop'],
  ['drainMicros', 'drain'],
  ['loadMicros', 'load'],
  ['takeOverMicros', 'take over'],
]

type Row = readonly string[]

/** From so many characters on a cell is broken into lines. */
const long = 40

const cell = (name: string, text: string, attributes: Attributes = {}) =>
  texted(name, text.length > long ? { ...attributes, class: 'vm-long' } : attributes, text)

const tableOf = (caption: string, head: Row, rows: readonly Row[]): string =>
  rows.length === 0
    ? ''
    : element(
        'div',
        { class: 'vm-table', tabindex: 0, role: 'region', 'aria-label': caption },
        element(
          'table',
          {},
          texted('caption', {}, caption),
          element('thead', {}, element('tr', {}, ...head.map((text) => texted('th', { scope: 'col' }, text)))),
          element(
            'tbody',
            {},
            ...rows.map(([first = '', ...rest]) =>
              element('tr', {}, cell('th', first, { scope: 'row' }), ...rest.map((text) => cell('td', text))),
            ),
          ),
        ),
      )

const ms = (micros: number) => (micros / 1000).toFixed(3)

const downtimeRows = ({ ends }: Run): Row[] =>
  ends.flatMap(({ side, downtime }) =>
    downtime ? [[endName(side), ...parts.map(([part]) => ms(downtime[part])), ms(downtime.totalMicros)]] : [],
  )

const objectRows = ({ ends }: Run): Row[] =>
  ends.flatMap(({ side, objects }) =>
    objects.map(({ id, kind, protocol, capabilities, bytes: count, outcome, states, resets }) => [
      id,
      endName(side),
      [kind, protocol, capabilities].filter(Boolean).join(' '),
      count === undefined ? 'unknown' : exactly(count),
      outcome ?? '',
      states.map(({ what }) => what).join(' → '),
      resets === undefined ? '' : String(resets),
    ]),
  )

/** Rows of spans and marks, in order of time. */
const courseRows = (ends: readonly RunEnd[]): Row[] => {
  const rows: { readonly at: number; readonly row: Row }[] = []
  const add = (at: number, row: Row) => rows.push({ at, row: [ms(at), ...row] })
  for (const { side, phases, objects, marks } of ends) {
    const end = endName(side)
    for (const { what, fromMicros, toMicros } of phases)
      add(fromMicros, [end, '', `phase ${what}`, ms(toMicros - fromMicros)])
    for (const { id, states } of objects) {
      for (const { what, fromMicros, toMicros } of states) add(fromMicros, [end, id, what, ms(toMicros - fromMicros)])
    }
    for (const { atMicros, object, text } of marks) add(atMicros, [end, object ?? '', text, ''])
  }
  return rows.sort((one, other) => one.at - other.at).map(({ row }) => row)
}

/** Most rows of a table: what is beyond is counted. */
const most = 2000

/** The numbers of all drawings as tables, for who does not see them, and for who wants to copy them. */
export const tables = (run: Run): string => {
  const course = courseRows(run.ends)
  const objects = objectRows(run)
  const beyond = course.length + objects.length - Math.min(course.length, most) - Math.min(objects.length, most)
  return [
    tableOf(
      'Parts of the downtime, in milliseconds',
      ['end', ...parts.map(([, name]) => name), 'total'],
      downtimeRows(run),
    ),
    tableOf('Objects', ['object', 'end', 'what', 'moved', 'outcome', 'way', 'resets'], objects.slice(0, most)),
    element(
      'details',
      {},
      texted('summary', {}, `Everything that happened, in order (${course.length})`),
      tableOf('What happened, in milliseconds', ['at', 'end', 'object', 'what', 'for'], course.slice(0, most)),
    ),
    beyond > 0 ? texted('p', { class: 'vm-note' }, `${beyond} more rows are left out.`) : '',
  ].join('')
}
