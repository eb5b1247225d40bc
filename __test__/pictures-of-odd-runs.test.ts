// Whatever a report or a stream says, a picture can be drawn of it, and what it says stays text.
import test from 'ava'
import { type Part, type SessionEvent, toJson } from 'vfio-migration'
import {
  endOfEvents,
  endOfReport,
  parseReport,
  pictureDocument,
  type Run,
  runOf,
  StreamCourse,
  stateGraph,
  timeline,
  walksOf,
} from 'vfio-migration/picture'
import { drawnAsTold } from './support/drawn.js'
import { all, only, parseMarkup } from './support/markup.js'

const state = (device: string, to: string, atMicros: number, more: object = {}) =>
  ({ type: 'state', device, to, atMicros, tookMicros: 1, cause: 'forward', ...more }) as SessionEvent
const phase = (name: string, atMicros: number) =>
  ({ type: 'phase', side: 'save', phase: name, atMicros }) as SessionEvent
const progress = (bytes: bigint, atMicros: number): SessionEvent => ({
  type: 'progress',
  object: 'gpu0',
  bytes,
  atMicros,
})

const report = (more: object = {}) => ({
  side: 'save',
  outcome: 'completed',
  totalMicros: 1000,
  bytes: 5,
  notConverged: [],
  objects: [{ id: 'gpu0', bytes: 5, resets: 0, resetsCountedByDevice: true, outcome: 'completed', walked: [] }],
  ...more,
})

/** The document is markup without a script or anything from elsewhere. */
const sound = (run: Run) => {
  const html = pictureDocument(run, { title: 'a run' })
  const page = parseMarkup(html)
  for (const name of ['script', 'img', 'link', 'iframe', 'object']) {
    if (all(page, name).length > 0) throw new Error(`<${name}>`)
  }
  if (/(?:NaN|Infinity|undefined|\[object)/.test(html.replace(/<style>.*?<\/style>/s, ''))) {
    throw new Error(/.{60}(?:NaN|Infinity|undefined|\[object).{20}/s.exec(html)?.[0])
  }
  // What names a namespace is no address to fetch from.
  const elsewhere = html.replaceAll('http://www.w3.org/2000/svg', '').match(/(?:https?:|url\((?!#)|@import|src=)/)
  if (elsewhere) throw new Error(elsewhere[0])
  const ids = [...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id)
  if (new Set(ids).size !== ids.length) throw new Error(`an id twice: ${ids}`)
  return page
}

test('no event at all, and none of a device', (t) => {
  for (const run of [
    runOf([]),
    runOf([endOfEvents('save', [])]),
    runOf([endOfEvents('restore', [phase('checking', 0)])]),
    runOf([endOfEvents('save', []), endOfEvents('restore', [])]),
  ]) {
    t.notThrows(() => sound(run))
    drawnAsTold(t, run, 400)
  }
})

test('a run that took no time', (t) => {
  const events = [state('gpu0', 'running', 0, { cause: 'found' }), phase('pausing', 0), state('gpu0', 'stop-copy', 0)]
  const run = runOf([endOfEvents('save', events)])
  t.notThrows(() => sound(run))
  drawnAsTold(t, run, 1000)
})

test('a clock that jumps back counts as the latest time before', (t) => {
  const run = runOf([
    endOfEvents('save', [state('gpu0', 'running', 5000), state('gpu0', 'pre-copy', 1000), state('gpu0', 'stop', 9000)]),
  ])
  t.deepEqual(
    run.ends[0]?.objects[0]?.states.map(({ what, fromMicros, toMicros }) => [what, fromMicros, toMicros]),
    [
      ['running', 5000, 5000],
      ['pre-copy', 5000, 9000],
      ['stop', 9000, 9000],
    ],
  )
  t.notThrows(() => sound(run))
  drawnAsTold(t, run, 1000)
})

test('more bytes than a double can hold', (t) => {
  const bytes = (1n << 63n) + 1n
  const run = runOf([endOfEvents('save', [progress(1n, 10), progress(bytes, 100)])])
  t.is(run.ends[0]?.bytes as bigint, bytes)
  t.true(sound(run).text.includes('9\u202f223\u202f372\u202f036\u202f854\u202f775\u202f809 bytes'))
  const read = parseReport(toJson(report({ bytes })))
  t.is(read.bytes as bigint, bytes)
})

test('hundreds of devices', (t) => {
  const events = Array.from({ length: 300 }, (_, place) => [
    state(`device${place}`, 'running', 0, { cause: 'found' }),
    state(`device${place}`, 'stop-copy', 1000 + place),
  ]).flat()
  const run = runOf([endOfEvents('save', events)])
  t.is(walksOf(run).length, 1)
  for (const width of [360, 1040]) drawnAsTold(t, run, width)
  const page = sound(run)
  t.is(all(page, 'g.vm-lane').length, 600, 'one lane a device, in both layouts')
  t.is(all(page, 'svg.vm-graph').length, 1, 'devices that went the same way share a graph')
})

test('devices that all went other ways', (t) => {
  const states = ['running', 'pre-copy', 'stop', 'stop-copy', 'resuming', 'error']
  const events = Array.from({ length: 30 }, (_, place) => [
    state(`device${place}`, states[place % 6] as string, 0),
    state(`device${place}`, states[(place + 1 + Math.floor(place / 6)) % 6] as string, 10),
    state(`device${place}`, `unknown(${place})`, 20),
  ]).flat()
  const page = sound(runOf([endOfEvents('save', events)]))
  t.is(all(page, 'svg.vm-graph').length, 12)
  t.true(page.text.includes('18 more ways stand in the table only.'))
})

test('names with markup, control characters and half characters stay text', (t) => {
  const name = `<script>alert("1 & 'one'")</script>`
  const run = runOf([
    endOfEvents('save', [
      state(name, 'running', 0),
      state('\u0000\u001b[31m\ud800', 'running', 0),
      { type: 'failed', object: name, what: `${name}: ]]> &amp; <!-- `, atMicros: 5 },
    ]),
  ])
  const page = sound(run)
  t.true(only(page, 'body').text.includes(name))
  t.true(all(page, 'td').some(({ text }) => text === `${name}: ]]> &amp; <!-- `))
  t.true(all(page, 'td').some(({ text }) => text === '\ufffd\ufffd[31m\ufffd'))
  const lane = all(parseMarkup(timeline(run, { width: 1040 })), 'g.vm-lane')[0]
  t.is(lane?.children[0]?.text, `${name} at the source`)
  t.is(parseMarkup(pictureDocument(run, { title: name })).children.length > 0, true)
})

test('a state that nobody knows, and a change that no arc leads along', (t) => {
  const run = runOf([
    endOfEvents('save', [
      state('gpu0', 'running', 0),
      state('gpu0', 'unknown(9)', 10),
      { type: 'reset', device: 'gpu0', now: 'running', atMicros: 20 },
    ]),
  ])
  const [walk] = walksOf(run)
  const svg = parseMarkup(stateGraph(walk as NonNullable<typeof walk>))
  t.is(all(svg, 'g.vm-leap').length, 2)
  t.true(all(svg, 'g.vm-node').some(({ text }) => text === '? unknown(9)'))
  sound(run)
  drawnAsTold(t, run, 1040)
})

test('what is no report is refused', (t) => {
  for (const text of ['', '{', 'null', '[]', '7', '{"side":"save"}', toJson(report({ side: 'both' }))]) {
    t.throws(() => parseReport(text), { code: 'ERR_VFIO_USAGE' }, text)
  }
  const strange = report({
    totalMicros: '9'.repeat(40),
    downtime: { totalMicros: -1 },
    preCopyEnd: 'boredom',
    objects: [7, null, { id: 'gpu0' }, ...report().objects, { ...report().objects[0], walked: [{ state: 'nowhere' }] }],
  })
  Object.assign(strange, {
    course: [
      { type: 'progress', object: 'gpu0', bytes: 1, atMicros: 1 },
      { type: 'phase', side: 'save', phase: 'checking', atMicros: 7 },
      { type: 'phase', side: 'save', phase: 'sleeping', atMicros: 8 },
    ],
    flow: [{ atMicros: 5, bytes: 9 }, 'x', { atMicros: 3, bytes: 4 }, { atMicros: 6 }],
  })
  const read = parseReport(toJson(strange))
  t.deepEqual(read.course, [{ type: 'phase', side: 'save', phase: 'checking', atMicros: 7 }])
  const end = endOfReport(read)
  t.deepEqual(end.flow, [
    { atMicros: 5, bytes: 9n },
    { atMicros: 5, bytes: 9n },
  ])
  t.is(read.downtime, undefined)
  t.is(read.preCopyEnd, undefined)
  t.is(read.objects.length, 2)
  sound(runOf([endOfReport(read)]))
})

test('events of a stream that are none', (t) => {
  const course = new StreamCourse()
  const texts = [
    'no JSON',
    'null',
    '{"type":"constructor"}',
    '{"type":"state","device":7,"to":"running","atMicros":1,"tookMicros":1,"cause":"found"}',
    '{"type":"state","device":"gpu0","to":"nowhere","atMicros":1,"tookMicros":1,"cause":"found"}',
    '{"type":"state","device":"gpu0","to":"running","atMicros":-1,"tookMicros":1,"cause":"found"}',
  ]
  const part = (text: string, name = 'event') => ({ type: 'text', name, text, number: 0, at: 0n, len: 0n }) as Part
  for (const text of texts) course.hear(part(text))
  t.is(course.end({ objects: [] }), undefined)
  course.hear(
    part('{"type":"state","device":"gpu0","to":"running","atMicros":1,"tookMicros":1,"cause":"found","more":1}'),
  )
  course.hear(part(toJson(report()), 'report'))
  const end = course.end({
    objects: [
      { id: 'gpu0', kind: 'device', protocol: 'fsm', capabilities: 'stop-copy+p2p', frames: 0, bytes: 0n } as never,
    ],
  })
  t.like(end, { side: 'save', outcome: 'completed', bytes: 5n })
  t.like(end?.objects[0], { id: 'gpu0', capabilities: 'stop-copy+p2p', outcome: 'completed' })
  sound(runOf(end ? [end] : []))
})
