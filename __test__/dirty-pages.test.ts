import test, { type ExecutionContext } from 'ava'
import {
  type AnyDevice,
  type Device,
  type DirtyLog,
  type DirtyRange,
  isVfioError,
  restore,
  save,
  trackDirty,
} from 'vfio-migration'
import type { GuestMemory, Model } from 'vfio-migration/model'
import { model, pair } from './support/pair.js'
import { temporary } from './support/temporary.js'

const PAGE = 4096n
const settings = 'size=64KiB,dirty-tracking,dma-rate=3,tick=1ms'

/** A device that tracks, with a log of all of its memory. */
const logged = async (t: ExecutionContext, more = '', ranges?: readonly DirtyRange[]) => {
  const world = await model(t, settings + more)
  if (!world.device.supports('dirty-tracking')) throw new Error('the model tracks')
  const log = await trackDirty(world.device, { ranges: ranges ?? [world.memory] })
  return { ...world, device: world.device as Device, log }
}

const collect = async (log: DirtyLog, window?: DirtyRange) => {
  const ranges: DirtyRange[] = []
  for await (const range of log.drain(window)) ranges.push(range)
  return ranges
}
const pagesOf = (ranges: Iterable<DirtyRange>) => {
  const pages: bigint[] = []
  for (const { iova, length } of ranges) for (let at = 0n; at < length; at += PAGE) pages.push((iova + at) / PAGE)
  return pages
}

/** Lets a device write for a while, which on a busy machine takes longer. */
const wrote = async ({ model, memory }: { model: Model; memory: GuestMemory }) => {
  const digests = await memory.pageDigests()
  await model.resumeGuest()
  do await new Promise((resolve) => setTimeout(resolve, 40))
  while ((await memory.pagesUnlike(digests)) < 3)
}

/** Lets the device write for a while, and stops it. */
const write = async (world: Awaited<ReturnType<typeof logged>>) => {
  await wrote(world)
  return world.device.to('stop')
}

test('every page that the device wrote is reported once, and no other', async (t) => {
  const world = await logged(t)
  const digests = await world.memory.pageDigests()
  await world.model.resumeGuest()
  const seen = new Set<bigint>()
  for (let round = 0; round < 10 || seen.size === 0; round++) {
    await new Promise((resolve) => setTimeout(resolve, 4))
    for (const page of pagesOf(await collect(world.log))) seen.add(page)
  }
  await world.device.to('stop')
  const last = await collect(world.log)
  t.true(
    last.every(({ iova, length }, place) => {
      const next = last[place + 1]
      return length > 0n && iova % PAGE === 0n && (next === undefined || iova + length < next.iova)
    }),
  )
  for (const page of pagesOf(last)) seen.add(page)
  t.true(seen.size > 0)
  t.is(seen.size, await world.memory.pagesUnlike(digests))
  t.deepEqual(await collect(world.log), [], 'reading clears')
  t.is(world.log.pageSize, 4096)
})

test('what a loop that is left early has not had is read again', async (t) => {
  const world = await logged(t)
  const digests = await world.memory.pageDigests()
  await write(world)
  const had: DirtyRange[] = []
  for await (const range of world.log.drain()) {
    had.push(range)
    if (had.length === 2) break
  }
  const rest = await collect(world.log)
  const pages = pagesOf([...had, ...rest])
  t.is(new Set(pages).size, pages.length, 'nothing comes twice')
  t.is(pages.length, await world.memory.pagesUnlike(digests))
})

test('a snapshot says the same as bits, as a number and as ranges', async (t) => {
  const world = await logged(t)
  const digests = await world.memory.pageDigests()
  await write(world)
  const half = world.memory.length / 2n
  const lower = await world.log.snapshot({ iova: 0n, length: half })
  const bits: bigint[] = []
  for (let page = 0; page < lower.words.length * 64; page++)
    if (((lower.words[Math.floor(page / 64)] as bigint) >> BigInt(page % 64)) & 1n) bits.push(BigInt(page))
  t.deepEqual([lower.iova, lower.pageSize, lower.words.length], [0n, 4096, 2])
  t.deepEqual(pagesOf(lower), bits)
  t.deepEqual([...lower], [...lower], 'it can be read again')
  t.is(lower.count(), bits.length)
  const upper = pagesOf(await collect(world.log))
  t.true(upper.every((page) => page * PAGE >= half))
  t.is(bits.length + upper.length, await world.memory.pagesUnlike(digests))
})

test('a log goes on while its device is in a session', async (t) => {
  const { source, destination } = await pair(t)
  if (!source.device.supports('dirty-tracking')) return t.fail()
  const log = await trackDirty(source.device, { ranges: [source.memory] })
  await wrote(source)
  let during = 0
  const pause = async () => {
    during = (await collect(log)).length
  }
  const session = await save(source.device, { pause })
  const there = await restore(destination.device)
  const path = (await temporary(t))('socket')
  const arrived = there.receiveFrom({ unix: path })
  const { devices } = await session.sendTo({ unix: path })
  await arrived
  t.is(devices[0]?.outcome, 'completed')
  t.true(during > 0)
  await log.close()
})

test('a device that is closed closes its log', async (t) => {
  const { device, log } = await logged(t)
  await device.close()
  await t.throwsAsync(collect(log), { code: 'ERR_VFIO_CLOSED' })
  await log.close()
})

test('a log that was closed is no more, and another one can be started', async (t) => {
  const { device, memory, log } = await logged(t)
  if (!device.supports('dirty-tracking')) return t.fail()
  const twice = await t.throwsAsync(trackDirty(device, { ranges: [memory] }), { code: 'ERR_VFIO_USAGE' })
  t.true(isVfioError(twice) && twice.details.remedy === 'close the log that there is')
  await log.close()
  await log.close()
  await t.throwsAsync(log.snapshot(memory), { code: 'ERR_VFIO_CLOSED' })
  t.throws(() => log.pageSize, { code: 'ERR_VFIO_CLOSED' })
  let again: DirtyLog
  {
    await using log = await trackDirty(device, { ranges: [memory] })
    again = log
    t.deepEqual(await collect(log), [])
  }
  await t.throwsAsync(collect(again), { code: 'ERR_VFIO_CLOSED' })
})

test('a session that moves memory needs the trackers itself', async (t) => {
  const { device, memory, log } = await logged(t)
  const session = await save(device, { memory, then: 'resume' })
  const error = await t.throwsAsync(session.sendTo('/dev/null'), {
    code: 'ERR_VFIO_USAGE',
    message: /log of dirty pages/,
  })
  const back = isVfioError(error) ? error.details.summary?.devices[0]?.device : undefined
  if (back?.state !== 'running') return t.fail()
  await log.close()
  const { outcome } = await (await save(back, { memory, then: 'resume' })).sendTo('/dev/null')
  t.is(outcome, 'completed')
})

/** A device that still tracks what it writes. */
const tracks = async (t: ExecutionContext, device: AnyDevice | undefined, memory: GuestMemory) => {
  if (device?.state !== 'running' || !device.supports('dirty-tracking')) return t.fail()
  await using log = await trackDirty(device, { ranges: [memory] })
  t.is(log.pageSize, 4096)
}

test('a session that does not start gives the trackers back', async (t) => {
  const { device, memory } = await model(t, settings)
  const session = await save(device, { memory, chunk: 1 << 30 })
  const error = await t.throwsAsync(session.sendTo('/dev/null'), { code: 'ERR_VFIO_USAGE', message: /a chunk of/ })
  await tracks(t, isVfioError(error) ? error.details.summary?.devices[0]?.device : undefined, memory)
  const other = await model(t, settings)
  const restoring = await restore(other.device, { deadlineMs: 0 })
  const refused = await t.throwsAsync(restoring.receiveFrom('/dev/null'), { code: 'ERR_VFIO_USAGE' })
  await tracks(t, isVfioError(refused) ? refused.details.summary?.devices[0]?.device : undefined, other.memory)
})

test('a restore leaves the trackers to the device', async (t) => {
  const { source, destination } = await pair(t, 'size=64KiB,dirty-tracking')
  const { readable, done } = await save(source.device)
  const session = await restore(destination.device)
  const [, , { devices }] = await Promise.all([readable.pipeTo(session.writable), done, session.done])
  await tracks(t, devices[0]?.device, destination.memory)
})

test('a log that could not be read is lost for good', async (t) => {
  const { log } = await logged(t, ',fault=tracker-report@2:EIO')
  t.deepEqual(await collect(log), [])
  for (let round = 0; round < 2; round++) {
    const error = await t.throwsAsync(collect(log), { code: 'ERR_VFIO_MEMORY_FAILED' })
    t.true(isVfioError(error) && error.details.errno === 'EIO')
  }
})

test('a tracker that does not start, and a device that has none', async (t) => {
  for (const [fault, code] of [
    ['EOPNOTSUPP', 'ERR_VFIO_UNSUPPORTED'],
    ['EIO', 'ERR_VFIO_MEMORY_FAILED'],
  ] as const) {
    const { device, memory } = await model(t, `${settings},fault=tracker-start@1:${fault}`)
    if (!device.supports('dirty-tracking')) return t.fail()
    await t.throwsAsync(trackDirty(device, { ranges: [memory] }), { code })
    t.deepEqual(await collect(await trackDirty(device, { ranges: [memory] })), [], 'the next time it does')
  }
  const { device, memory } = await model(t, 'size=64KiB')
  const error = await t.throwsAsync(trackDirty(device as never, { ranges: [memory] }), { code: 'ERR_VFIO_UNSUPPORTED' })
  t.true(isVfioError(error, 'ERR_VFIO_UNSUPPORTED') && error.details.missing?.[0] === 'dirty-tracking')
})

test('ranges and windows that cannot be are refused, and nothing is lost', async (t) => {
  const usage = { code: 'ERR_VFIO_USAGE' }
  const { device } = await model(t, settings)
  if (!device.supports('dirty-tracking')) return t.fail()
  const refused: unknown[] = [
    undefined,
    {},
    { ranges: [] },
    { ranges: [{ iova: 0, length: 4096 }] },
    { ranges: [{ iova: 0n, length: 0n }] },
    { ranges: [{ iova: 1n, length: PAGE }] },
    { ranges: [{ iova: -PAGE, length: PAGE }] },
    { ranges: [{ iova: 0n, length: 1n << 64n }] },
    { ranges: [{ iova: (1n << 64n) - PAGE, length: PAGE }] },
    {
      ranges: [
        { iova: 0n, length: 2n * PAGE },
        { iova: PAGE, length: PAGE },
      ],
    },
    { ranges: [{ iova: 0n, length: PAGE }], pageSize: 3000 },
    { ranges: [{ iova: 0n, length: PAGE }], pageSize: -4096 },
    { ranges: [null] },
  ]
  for (const options of refused) {
    await t.throwsAsync(
      trackDirty(device, options as never),
      usage,
      JSON.stringify(options, (_, value) => String(value)),
    )
  }
  const world = await logged(t, '', [
    { iova: 0n, length: 64n * PAGE },
    { iova: 64n * PAGE, length: 64n * PAGE },
  ])
  const digests = await world.memory.pageDigests()
  await write(world)
  await t.throwsAsync(collect(world.log, { iova: 1n, length: PAGE }), usage)
  await t.throwsAsync(collect(world.log, { iova: 0, length: 1 } as never), usage)
  await t.throwsAsync(world.log.snapshot({ iova: 0n, length: 65n * PAGE }), usage)
  await t.throwsAsync(world.log.snapshot(undefined as never), usage)
  const pages = pagesOf(await collect(world.log))
  t.true(pages.length > 0 && pages.length <= (await world.memory.pagesUnlike(digests)))
})
