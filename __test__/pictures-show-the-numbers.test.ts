// What is drawn of a run is compared with the numbers of the run.
import test, { type ExecutionContext } from 'ava'
import {
  isVfioError,
  type OpenOptions,
  type Report,
  restore,
  type SaveOptions,
  type SessionEvent,
  type Summary,
  save,
  toJson,
} from 'vfio-migration'
import { GuestMemory, openModel } from 'vfio-migration/model'
import {
  endOfEvents,
  endOfReport,
  extentOf,
  parseReport,
  type Run,
  runOf,
  stateGraph,
  walksOf,
} from 'vfio-migration/picture'
import { drawnAsTold, laneOf, marksIn } from './support/drawn.js'
import { all, type Node, numberOf, only, parseMarkup, pointsOf } from './support/markup.js'
import { temporary } from './support/temporary.js'

const widths = [360, 1040]

const heard = async (events: AsyncIterable<SessionEvent>) => {
  const all: SessionEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

const ended = async (done: Promise<Summary>): Promise<Summary> => {
  try {
    return await done
  } catch (error) {
    if (isVfioError(error) && error.details.summary) return error.details.summary
    throw error
  }
}

/** Both ends of a migration of devices with these settings, whatever comes of it. */
const migrated = async (
  t: ExecutionContext,
  devices: readonly string[],
  { faults = {}, ...options }: SaveOptions & { readonly faults?: Record<number, string> } = {},
  how: OpenOptions = {},
) => {
  const socket = `unix:${(await temporary(t))('s')}`
  const memory = { save: new GuestMemory({ length: 1n << 20n }), restore: new GuestMemory({ length: 1n << 20n }) }
  const opened = async (side: 'save' | 'restore') =>
    Promise.all(
      devices.map(async (settings, place) => {
        const fault = side === 'save' && faults[place] ? `,fault=${faults[place]}` : ''
        const { device } = await openModel(`model:${settings},lane=${place}/${devices.length}${fault}`, {
          ...how,
          id: `gpu${place}`,
          memory: memory[side],
        })
        t.teardown(() => device.close())
        return device
      }),
    )
  const restoring = await restore(await opened('restore'), { memory: memory.restore })
  const into = heard(restoring.events())
  const there = ended(restoring.receiveFrom(socket))
  const saving = await save(await opened('save'), { ...options, memory: memory.save })
  const out = heard(saving.events())
  // A source that comes before its destination listens tries again.
  const here = ended(saving.sendTo(socket))
  return { out: await out, into: await into, saved: await here, restored: await there }
}

/** What an axis says, as milliseconds and pixels. */
const ticksIn = (stretch: Node) =>
  all(stretch, 'text.vm-tick').map((tick) => {
    const [, number, unit = 'ms'] = /^(−?[\d.]+) ?(µs|ms|s)?$/.exec(tick.text) ?? []
    const factor = { µs: 1, ms: 1000, s: 1_000_000 }[unit] as number
    return { micros: Number(number) * factor, x: numberOf(tick, 'x') }
  })

const axesAsTold = (t: ExecutionContext, run: Run, svg: Node) => {
  const stretch = all(svg, 'g.vm-stretch')[0] as Node
  const { fromMicros, toMicros } = extentOf(run)
  const lane = laneOf(stretch)
  const ticks = ticksIn(stretch)
  t.true(ticks.length >= 2 && ticks.length <= lane.width / 40, `${ticks.length} ticks`)
  for (const { micros, x } of ticks) {
    t.true(Math.abs(x - (lane.x + (micros / (toMicros - fromMicros)) * lane.width)) < 0.02, `${micros} at ${x}`)
  }
}

/** The curve ends at the top, where the number of bytes stands, and never falls. */
const bytesAsTold = (t: ExecutionContext, run: Run, svg: Node) => {
  const most = Math.max(...run.ends.map(({ flow }) => Number(flow.at(-1)?.bytes ?? 0n)))
  const moved = only(svg, 'g.vm-moved')
  const [, bottom, , top] = /^M[-\d.]+ ([-\d.]+)H[-\d.]+M([-\d.]+) ([-\d.]+)H/.exec(
    (all(moved, 'path.vm-grid')[0] as Node).attributes.d ?? '',
  ) as unknown as [string, string, string, string]
  const [low, high] = [Number(bottom), Number(top)]
  const lane = laneOf(all(svg, 'g.vm-stretch')[0] as Node)
  const { fromMicros, toMicros } = extentOf(run)
  for (const { side, flow } of run.ends.filter((end) => end.flow.length > 0)) {
    const points = pointsOf(only(moved, `path.vm-${side}`))
    t.is(points.length, flow.length + 1)
    for (const [place, { atMicros, bytes }] of flow.entries()) {
      const [x, y] = points[place] as readonly [number, number]
      const wantedX = lane.x + ((atMicros - fromMicros) / (toMicros - fromMicros)) * lane.width
      const wantedY = low - (Number(bytes) / most) * (low - high)
      t.true(Math.abs(x - wantedX) < 0.02 && Math.abs(y - wantedY) < 0.02, `${side} sample ${place}`)
      t.true(place === 0 || bytes >= (flow[place - 1]?.bytes ?? 0n))
    }
  }
}

/** The graph numbers every step of each way. */
const graphsAsTold = (t: ExecutionContext, run: Run) => {
  for (const walk of walksOf(run)) {
    const svg = only(parseMarkup(stateGraph(walk)), 'svg')
    const steps = new Set(
      all(svg, 'g.vm-leg').flatMap((leg) => (only(leg, 'title').text.split(':')[0] as string).split(', ').map(Number)),
    )
    t.deepEqual(
      [...steps].sort((a, b) => a - b),
      walk.states.slice(1).map((_, place) => place + 1),
    )
    const bold = all(svg, 'g.vm-walked').map((node) => only(node, 'text').text.split(' ')[1])
    for (const state of walk.states) t.true(bold.includes(state), state)
  }
}

const everythingAsTold = (t: ExecutionContext, run: Run) => {
  for (const width of widths) {
    const svg = drawnAsTold(t, run, width)
    axesAsTold(t, run, svg)
    if (run.ends.some(({ flow }) => flow.length > 0)) bytesAsTold(t, run, svg)
  }
  graphsAsTold(t, run)
}

const walkOf = (report: Report, id: string) =>
  report.objects
    .find((object) => object.id === id)
    ?.walked.map(({ state }) => state)
    .filter((state, place, all) => state !== all[place - 1])

test('two devices with pre-copy, from the events of both ends', async (t) => {
  const { out, into, saved, restored } = await migrated(t, Array(2).fill('size=4MiB,pre-copy,p2p,dirty-tracking'))
  t.deepEqual([saved.outcome, restored.outcome], ['completed', 'completed'])
  const run = runOf([endOfEvents('restore', into, { report: restored }), endOfEvents('save', out, { report: saved })])
  t.is(run.aligned, 'given-up')
  t.deepEqual(
    run.ends.map(({ side }) => side),
    ['save', 'restore'],
  )
  for (const end of run.ends) {
    const devices = end.objects.filter(({ kind }) => kind === 'device')
    t.deepEqual(
      devices.map(({ id }) => id),
      ['gpu0', 'gpu1'],
      'in one order at both ends',
    )
  }
  everythingAsTold(t, run)
  const [source] = run.ends
  t.is(source?.bytes as bigint, saved.bytes)
  t.deepEqual(
    source?.objects.filter(({ kind }) => kind === 'device').map(({ states }) => states.map(({ what }) => what)),
    ['gpu0', 'gpu1'].map((id) => walkOf(saved, id)),
  )
  // The guest runs at the destination only after the source has stopped.
  const stopped = source?.objects[0]?.states.find(({ what }) => what === 'stop-copy')?.fromMicros as number
  const runs = run.ends[1]?.objects[0]?.states.at(-1)
  t.is(runs?.what, 'running')
  t.true((runs?.fromMicros as number) >= stopped)
})

test('the same from their reports', async (t) => {
  const { out, into, saved, restored } = await migrated(t, ['size=4MiB,pre-copy,p2p'])
  // As --report writes them, and somebody reads them.
  const run = runOf([saved, restored].map((report) => endOfReport(parseReport(toJson(report)))))
  everythingAsTold(t, run)
  t.is(run.ends[0]?.downtime?.totalMicros, saved.downtime?.totalMicros)
  // Nothing is lost that the events would have told.
  const heard = runOf([endOfEvents('save', out, { report: saved }), endOfEvents('restore', into, { report: restored })])
  t.is(run.aligned, heard.aligned)
  for (const [place, end] of run.ends.entries()) {
    t.deepEqual(end.phases, heard.ends[place]?.phases)
    t.deepEqual(end.marks, heard.ends[place]?.marks)
    t.deepEqual(end.flow, heard.ends[place]?.flow)
    t.is(end.flow.at(-1)?.bytes as bigint, end.bytes as bigint)
    t.like(end.objects[0], { protocol: 'fsm', capabilities: 'stop-copy+p2p+pre-copy' })
  }
  t.deepEqual(
    run.ends[0]?.objects.find(({ id }) => id === 'gpu0')?.states.map(({ fromMicros }) => fromMicros),
    saved.objects.find(({ id }) => id === 'gpu0')?.walked.map(({ atMicros }) => atMicros),
  )
})

test('a device that fails and is reset, with marks where it happened', async (t) => {
  const { out, saved } = await migrated(t, Array(2).fill('size=1MiB,pre-copy,p2p'), {
    faults: { 1: 'set-state@3:error' },
    onUnrecoverable: 'reset',
  })
  t.is(saved.outcome, 'reset')
  const run = runOf([endOfEvents('save', out, { report: saved })])
  everythingAsTold(t, run)
  const svg = drawnAsTold(t, run, 1040)
  const stretch = all(svg, 'g.vm-stretch')[0] as Node
  const lane = laneOf(stretch)
  const { toMicros } = extentOf(run)
  const resets = out.filter((event) => event.type === 'reset')
  t.is(resets.length, 1)
  const marks = marksIn(stretch)
  for (const event of out) {
    if (event.type !== 'reset' && event.type !== 'failed') continue
    const what = event.type === 'reset' ? `${event.device}: was reset` : event.what
    const found = marks.find(({ text }) => text.includes(what))
    t.true(found?.trouble, what)
    // Marks that would hide each other stand side by side, the first one where it happened.
    const wanted = lane.x + (event.atMicros / toMicros) * lane.width
    t.true((found?.x as number) >= wanted - 0.02 && (found?.x as number) <= wanted + 30, what)
  }
  t.is(run.ends[0]?.objects.find(({ id }) => id === 'gpu1')?.resets, 1)
})

test('a region device', async (t) => {
  const { out, into, saved, restored } = await migrated(
    t,
    ['size=300KiB,window=16KiB,protocol=region,p2p'],
    {},
    { experimentalRegion: {} },
  )
  t.is(saved.outcome, 'completed')
  const run = runOf([endOfEvents('save', out, { report: saved }), endOfEvents('restore', into, { report: restored })])
  everythingAsTold(t, run)
  t.true(walksOf(run).every(({ protocol }) => protocol === 'region'))
})
