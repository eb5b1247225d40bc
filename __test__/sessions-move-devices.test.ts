import { mkdtemp, open } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex as NodeDuplex } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import {
  type Duplex,
  isVfioError,
  restore,
  type SessionEvent,
  type Sink,
  type Source,
  type Summary,
  save,
} from 'vfio-migration'
import { pair } from './support/pair.js'
import { temporary } from './support/temporary.js'

type Pair = Awaited<ReturnType<typeof pair>>

/** What must be so after every migration: the same data and memory, no reset, and the counter goes on. */
const arrived = async (t: ExecutionContext, { source, destination }: Pair, out: Summary, back: Summary) => {
  t.is(out.outcome, 'completed')
  t.is(back.outcome, 'completed')
  t.is(destination.model.stopped?.proof, source.model.stopped?.proof)
  t.is(await destination.memory.pagesUnlike(await source.memory.pageDigests()), 0)
  t.is(source.model.resets + destination.model.resets, 0)
  t.is(out.devices[0]?.device?.state, 'stop')
  t.is(back.devices[0]?.device?.state, 'running')
  t.true(out.bytes > 0n)
}

/** Both ends in this process; the guest works at the source until `pause`. The destination's does not run: memory stays. */
const migrate = async (
  t: ExecutionContext,
  sink: Sink | ((address: string) => Sink),
  from: Source,
  settings?: string,
) => {
  const both = await pair(t, settings)
  const { source, destination } = both
  await source.model.resumeGuest()
  const saving = await save(source.device, {
    memory: source.memory,
    downtimeBudgetMs: 100,
    pause: () => source.model.pauseGuest(),
  })
  let pages: BigUint64Array | undefined
  const restoring = await restore(destination.device, {
    memory: destination.memory,
    configure: async () => {
      pages = await destination.memory.pageDigests()
    },
  })
  const back = restoring.receiveFrom(from)
  back.catch(() => {})
  let place = sink
  if (typeof place === 'function') {
    for await (const event of restoring.events()) {
      if (event.type !== 'listening') continue
      place = place(event.address)
      break
    }
  }
  const [out, into] = await Promise.all([saving.sendTo(place as Sink), back])
  t.is(out.outcome, 'completed')
  t.is(into.outcome, 'completed')
  t.is(await source.memory.pagesUnlike(pages ?? new BigUint64Array()), 0)
  t.is(destination.model.stopped?.proof, source.model.stopped?.proof)
  t.is(source.model.resets + destination.model.resets, 0)
  return { out, into }
}

test('over a unix socket', async (t) => {
  const file = await temporary(t)
  const { out } = await migrate(t, { unix: file('s') }, { unix: file('s') })
  t.true((out.downtime?.totalMicros ?? 0) > 0)
  t.is(out.preCopyEnd, 'converged')
})

test('over TCP, with the port that the restore got', async (t) => {
  await migrate(t, (address) => ({ host: 'localhost', port: Number(address.split(':').at(-1)) }), { listen: 0 })
  t.pass()
})

test('over a socket that the caller opened, of which the session has a copy', async (t) => {
  const both = await pair(t)
  const [one, other] = await sockets(t)
  const descriptor = (socket: Socket) => (socket as unknown as { _handle: { fd: number } })._handle.fd
  const saving = await save(both.source.device, { memory: both.source.memory })
  const restoring = await restore(both.destination.device, { memory: both.destination.memory })
  const done = Promise.all([saving.sendTo({ fd: descriptor(one) }), restoring.receiveFrom({ fd: descriptor(other) })])
  one.destroy()
  other.destroy()
  const [out, into] = await done
  t.is(out.outcome, 'completed')
  t.is(into.outcome, 'completed')
})

test('through a file', async (t) => {
  const file = await temporary(t)
  const both = await pair(t, 'size=4MiB')
  const out = await (await save(both.source.device, { memory: both.source.memory })).sendTo({ file: file('state') })
  const handle = await open(file('state'))
  const into = await (await restore(both.destination.device, { memory: both.destination.memory })).receiveFrom({
    fd: handle,
  })
  await handle.close()
  await arrived(t, both, out, into)
})

test('through one web stream, one-way', async (t) => {
  const both = await pair(t, 'size=4MiB')
  const saving = await save(both.source.device, { memory: both.source.memory })
  const restoring = await restore(both.destination.device, { memory: both.destination.memory })
  await saving.readable.pipeTo(restoring.writable)
  await arrived(t, both, await saving.done, await restoring.done)
})

test('through a stream that brings its own buffers', async (t) => {
  const both = await pair(t, 'size=1MiB')
  const saving = await save(both.source.device, { memory: both.source.memory })
  const restoring = await restore(both.destination.device, { memory: both.destination.memory })
  const reader = (saving.readable as ReadableStream<Uint8Array>).getReader({ mode: 'byob' })
  const writer = restoring.writable.getWriter()
  for (;;) {
    const { value, done } = await reader.read(new Uint8Array(10_000))
    if (done) break
    t.true(value.byteLength <= 10_000)
    await writer.write(value)
  }
  await writer.close()
  await arrived(t, both, await saving.done, await restoring.done)
})

test('through a duplex pair of web streams, connected', async (t) => {
  const forward = new TransformStream<Uint8Array, Uint8Array>()
  const backward = new TransformStream<Uint8Array, Uint8Array>()
  const { out } = await migrate(
    t,
    { readable: backward.readable, writable: forward.writable },
    { readable: forward.readable, writable: backward.writable },
  )
  t.is(out.preCopyEnd, 'converged')
})

test('through sockets of Node as web streams', async (t) => {
  const [one, other] = await sockets(t)
  const web = (socket: Socket) => NodeDuplex.toWeb(socket) as unknown as Duplex
  await migrate(t, web(one), web(other))
  t.pass()
})

for (const reuseBuffers of [false, true]) {
  test(`through a sink that copies what it gets, ${reuseBuffers ? 'in two buffers that go round' : 'in fresh buffers'}`, async (t) => {
    const both = await pair(t, 'size=6MiB')
    const saving = await save(both.source.device, { memory: both.source.memory })
    const restoring = await restore(both.destination.device, { memory: both.destination.memory })
    const writer = restoring.writable.getWriter()
    const seen: ArrayBufferLike[] = []
    const copies = new WritableStream<Uint8Array>({
      write(chunk) {
        seen.push(chunk.buffer)
        return writer.write(chunk.slice())
      },
      close: () => writer.close(),
    })
    const out = await saving.sendTo(copies, { reuseBuffers })
    t.true(seen.length > 6)
    t.is(new Set(seen).size, reuseBuffers ? 2 : seen.length)
    await arrived(t, both, out, await restoring.done)
  })
}

test('through a sink that takes the buffers away, although they were to go round', async (t) => {
  const both = await pair(t, 'size=3MiB')
  const saving = await save(both.source.device, { memory: both.source.memory })
  const restoring = await restore(both.destination.device, { memory: both.destination.memory })
  const writer = restoring.writable.getWriter()
  const takes = new WritableStream<Uint8Array>({
    write: (chunk) => writer.write(structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] })),
    close: () => writer.close(),
  })
  const out = await saving.sendTo(takes, { reuseBuffers: true })
  await arrived(t, both, out, await restoring.done)
})

test('in pieces of every size, from single bytes to more than waits at once', async (t) => {
  const both = await pair(t, 'size=9MiB')
  const saving = await save(both.source.device, { memory: both.source.memory })
  const restoring = await restore(both.destination.device, { memory: both.destination.memory })
  const pieces: Uint8Array[] = []
  for await (const chunk of saving.readable) pieces.push(chunk)
  const whole = Buffer.concat(pieces)
  const writer = restoring.writable.getWriter()
  const sizes = [1, 63, 64, 65, 4096, 65_536, 65_537, 200_000, 1 << 20, (1 << 20) + 64, 5 << 20]
  for (let [at, turn] = [0, 0]; at < whole.length; turn += 1) {
    const size = sizes[turn % sizes.length] as number
    await writer.write(whole.subarray(at, at + size))
    at += size
  }
  await writer.close()
  await arrived(t, both, await saving.done, await restoring.done)
})

test('many devices in one session, matched by name and not by order', async (t) => {
  const file = await temporary(t)
  const names = ['a', 'b', 'c']
  const { model } = await import('./support/pair.js')
  const sources = await Promise.all(names.map((name, place) => model(t, `size=1MiB,p2p,pre-copy,seed=${place}`, name)))
  const destinations = await Promise.all([...names].reverse().map((name) => model(t, 'size=1MiB,p2p,pre-copy', name)))
  const saving = await save(sources.map(({ device }) => device))
  const restoring = await restore(destinations.map(({ device }) => device))
  const [out, into] = await Promise.all([
    saving.sendTo({ unix: file('s') }),
    restoring.receiveFrom({ unix: file('s') }),
  ])
  t.deepEqual(
    out.devices.map(({ id }) => id),
    names,
  )
  t.deepEqual(
    into.devices.map(({ id }) => id),
    [...names].reverse(),
  )
  for (const [place, source] of sources.entries())
    t.is(destinations[2 - place]?.model.stopped?.proof, source.model.stopped?.proof)
})

test('a snapshot goes on at the source, and stays stopped at the destination', async (t) => {
  const both = await pair(t, 'size=1MiB')
  const saving = await save(both.source.device, { then: 'resume' })
  const restoring = await restore(both.destination.device)
  await saving.readable.pipeTo(restoring.writable)
  t.is((await saving.done).devices[0]?.device?.state, 'running')
  t.is((await restoring.done).devices[0]?.device?.state, 'stop')
})

test('there and back again: the handles of a summary are as good as fresh ones', async (t) => {
  const both = await pair(t, 'size=1MiB,p2p')
  const file = await temporary(t)
  let [here, there] = [both.source.device, both.destination.device]
  for (let round = 0; round < 4; round += 1) {
    const place = { unix: file(`s${round}`) }
    const [out, into] = await Promise.all([(await save(here)).sendTo(place), (await restore(there)).receiveFrom(place)])
    const [left, arrivedAt] = [out.devices[0]?.device, into.devices[0]?.device]
    if (left?.state !== 'stop' || arrivedAt?.state !== 'running') return t.fail()
    here = arrivedAt
    there = await left.to('running')
  }
  t.is(both.source.model.resets + both.destination.model.resets, 0)
})

test('events tell the whole course: every change of state, in order', async (t) => {
  const file = await temporary(t)
  const both = await pair(t)
  const saving = await save(both.source.device, { memory: both.source.memory })
  const restoring = await restore(both.destination.device, { memory: both.destination.memory })
  const seen: SessionEvent[] = []
  const following = (async () => {
    for await (const event of saving.events()) seen.push(event)
  })()
  const [out] = await Promise.all([saving.sendTo({ unix: file('s') }), restoring.receiveFrom({ unix: file('s') })])
  await following
  const states = seen.flatMap((event) => (event.type === 'state' ? [event.to] : []))
  t.deepEqual(
    states,
    out.objects.find(({ id }) => id === 'gpu0')?.walked.map(({ state }) => state),
  )
  const types = new Set(seen.map(({ type }) => type))
  for (const type of ['phase', 'state', 'switchover', 'given-up', 'ended'] as const) t.true(types.has(type), type)
  const times = seen.flatMap((event) => ('atMicros' in event ? [event.atMicros] : []))
  t.true(times.every((at) => Number.isSafeInteger(at) && at >= 0))
})

test('a session that nobody started gives its devices back when it is closed', async (t) => {
  const both = await pair(t)
  const session = await save(both.source.device)
  t.true(both.source.device.spent)
  await session.close()
  const error = await t.throwsAsync(session.done)
  t.true(isVfioError(error, 'ERR_VFIO_CANCELLED') && error.details.summary?.devices[0]?.device?.state === 'running')
})

test('a stream that ends early is refused, and the device is as it was made', async (t) => {
  const both = await pair(t, 'size=4MiB')
  const saving = await save(both.source.device, { then: 'resume' })
  const chunks: Uint8Array[] = []
  for await (const chunk of saving) chunks.push(chunk)
  const restoring = await restore(both.destination.device)
  const cut = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks.slice(0, -1)) controller.enqueue(chunk)
      controller.close()
    },
  })
  const error = await t.throwsAsync(restoring.receiveFrom(cut), { code: 'ERR_VFIO_STREAM_TRUNCATED' })
  if (!isVfioError(error)) return t.fail()
  t.is(error.details.summary?.devices[0]?.outcome, 'reset')
  t.is(error.details.summary?.devices[0]?.device?.state, 'running')
})

/** Two ends of one connection. */
const sockets = async (t: ExecutionContext): Promise<[Socket, Socket]> => {
  const path = join(await mkdtemp(join(tmpdir(), 'vfio-migration-test-')), 's')
  return new Promise((resolve, reject) => {
    const server = createServer((other) => {
      server.close()
      resolve([one, other])
    })
    server.on('error', reject)
    server.listen(path)
    const one = connect(path)
    t.teardown(() => one.destroy())
  })
}
