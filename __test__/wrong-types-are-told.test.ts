// What the compiler refuses, from JavaScript: an argument or an option of a wrong type is ERR_VFIO_USAGE, in words.
import test, { type ExecutionContext } from 'ava'
import {
  compareFiles,
  dataOf,
  diffTraces,
  doctor,
  findDevice,
  foldTrace,
  inspect,
  isVfioError,
  listDevices,
  openDevice,
  probe,
  restore,
  save,
  trackDirty,
  VfioError,
} from 'vfio-migration'
import { GuestMemory, openModel } from 'vfio-migration/model'
import { scenarioText, simulate } from 'vfio-migration/simulation'
import { model } from './support/pair.js'

/** One value of each kind. */
const values = {
  null: null,
  number: 5,
  fraction: 0.5,
  text: 'x',
  boolean: true,
  bigint: -1n,
  symbol: Symbol('x'),
  function: () => {},
  list: [],
  object: {},
} as const
type Kind = keyof typeof values

/** Calls something with every value but those of the kinds that it takes. */
const refuses = async (t: ExecutionContext, what: string, taken: readonly Kind[], call: (value: never) => unknown) => {
  for (const kind of Object.keys(values) as Kind[]) {
    if (taken.includes(kind)) continue
    const expected = { instanceOf: VfioError, code: 'ERR_VFIO_USAGE', message: /^(?!.*(rust|napi))/i }
    await t.throwsAsync(async () => call(values[kind] as never), expected, `${what}: a ${kind}`)
  }
}

/** Options are objects, and a list or a function has their properties as well as any. */
const objects = ['object', 'list'] as const
const address = 'model:size=64KiB'

test('devices', async (t) => {
  await refuses(t, 'openDevice', [], openDevice)
  await refuses(t, 'openDevice, its options', objects, (it) => openDevice(address, it))
  await refuses(t, 'openModel', [], openModel)
  await refuses(t, 'openModel, its options', objects, (it) => openModel(address, it))
  await refuses(t, 'memory of a model', [], (memory) => openModel(address, { memory }))
  await refuses(t, 'id', ['text'], (id) => openDevice(address, { id }))
  for (const flag of ['toSave', 'fresh'])
    await refuses(t, flag, ['boolean'], (it) => openDevice(address, { [flag]: it }))
  await refuses(t, 'waitMs', ['number', 'fraction'], (waitMs) => openDevice(address, { waitMs }))
  await refuses(t, 'tracking', [], (tracking) => openDevice(address, { tracking }))
  await refuses(t, 'experimentalRegion', objects, (it) => openDevice(address, { experimentalRegion: it }))
  await refuses(t, 'dialect', [], (dialect) => openDevice(address, { experimentalRegion: { dialect } }))
  await refuses(t, 'splitSegments', ['boolean'], (splitSegments) =>
    openDevice(address, { experimentalRegion: { splitSegments } }),
  )
  for (const name of ['maxStopCopyBytes', 'maxEmptyRounds'])
    await refuses(t, name, ['number'], (it) => openDevice(address, { experimentalRegion: { [name]: it } }))
  await refuses(t, 'fd', ['number'], (fd) => openDevice({ fd }))
  await refuses(t, 'beside', ['list'], (beside) => openDevice({ fd: 0, beside }))
  await refuses(t, 'device of descriptors', ['text'], (device) => openDevice({ fd: 0, device }))

  const { device, model: world, memory } = await model(t, 'size=64KiB')
  await refuses(t, 'to', [], (state) => device.to(state))
  await refuses(t, 'to, its options', objects, (it) => device.to('stop', it))
  await refuses(t, 'signal of to', [], (signal) => device.to('stop', { signal }))
  t.false(device.spent, 'what was refused has spent nothing')
  await refuses(t, 'offer', ['text'], (path) => device.offer(path))
  await refuses(t, 'setFaults', [], (fault) => world.setFaults(fault))
  await refuses(t, 'missed', [], (it) => world.missed(it))
  await refuses(t, 'pagesUnlike', [], (digests) => memory.pagesUnlike(digests))
  await t.throwsAsync(memory.pagesUnlike(new BigUint64Array(3)), { code: 'ERR_VFIO_USAGE' })

  const { device: logging, memory: whole } = await model(t, 'size=64KiB,dirty-tracking')
  if (!logging.supports('dirty-tracking')) return t.fail()
  await refuses(t, 'trackDirty', [], (it) => trackDirty(logging, it))
  await refuses(t, 'ranges', [], (ranges) => trackDirty(logging, { ranges }))
  await refuses(t, 'pageSize', [], (pageSize) => trackDirty(logging, { ranges: [whole], pageSize }))
  const log = await trackDirty(logging, { ranges: [whole] })
  await refuses(t, 'drain', [], (it) => log.drain(it).next())
  await refuses(t, 'snapshot', [], (it) => log.snapshot(it))
})

test('guest memory', async (t) => {
  await refuses(t, 'GuestMemory', [], (it) => new GuestMemory(it))
  await refuses(t, 'length', [], (length) => new GuestMemory({ length }))
  await refuses(t, 'iova', [], (iova) => new GuestMemory({ iova, length: 4096n }))
  for (const where of [
    { length: (1n << 64n) + 4096n },
    { length: 4096n, iova: 1n << 64n },
    { length: 8192n, iova: (1n << 64n) - 4096n },
  ])
    t.throws(() => new GuestMemory(where), { code: 'ERR_VFIO_USAGE' })
  t.throws(() => new GuestMemory({ length: 1n << 60n }), { code: 'ERR_VFIO_HOST', message: /more than this machine/ })
})

test('sessions', async (t) => {
  const { device } = await model(t, 'size=64KiB')
  await refuses(t, 'save', [], save)
  await refuses(t, 'restore', [], restore)
  await refuses(t, 'save, its options', objects, (it) => save(device, it))
  await refuses(t, 'restore, its options', objects, (it) => restore(device, it))
  const flags = { save: ['preCopy', 'noP2pTraffic', 'dryRun', 'events'], restore: ['run', 'noP2pTraffic'] }
  for (const name of flags.save) await refuses(t, name, ['boolean'], (it) => save(device, { [name]: it }))
  for (const name of flags.restore) await refuses(t, name, ['boolean'], (it) => restore(device, { [name]: it }))
  for (const name of ['chunk', 'depth', 'rate'])
    await refuses(t, name, ['number'], (it) => save(device, { [name]: it }))
  for (const name of ['then', 'onUnrecoverable']) await refuses(t, name, [], (it) => save(device, { [name]: it }))
  const spans: Kind[] = ['number', 'fraction']
  for (const name of ['deadlineMs', 'downtimeBudgetMs', 'maxPreCopyMs'])
    await refuses(t, name, spans, (it) => save(device, { [name]: it }))
  await refuses(t, 'deadlineMs', spans, (deadlineMs) => restore(device, { deadlineMs }))
  for (const name of ['memory', 'signal']) {
    await refuses(t, name, [], (it) => save(device, { [name]: it }))
    await refuses(t, name, [], (it) => restore(device, { [name]: it }))
  }
  for (const name of ['pause', 'unpause']) await refuses(t, name, ['function'], (it) => save(device, { [name]: it }))
  for (const name of ['configure', 'takeOver'])
    await refuses(t, name, ['function'], (it) => restore(device, { [name]: it }))
  t.false(device.spent, 'what was refused has spent nothing')
})

test('places: the devices come back', async (t) => {
  let { device } = await model(t, 'size=64KiB')
  type Opened = typeof device
  const back = (error: unknown) => {
    if (isVfioError(error)) device = error.details.summary?.devices[0]?.device as Opened
    t.is(device.state, 'running')
    throw error
  }
  const sent = async (place: unknown, options?: unknown) =>
    (await save(device)).sendTo(place as never, options as never).catch(back)
  const received = async (place: unknown, options?: unknown) =>
    (await restore(device)).receiveFrom(place as never, options as never).catch(back)
  for (const name of ['unix', 'file', 'host', 'port']) {
    const taken: Kind[] = name === 'port' ? ['number'] : ['text']
    await refuses(t, name, taken, (it) => sent({ port: 1, [name]: it }))
  }
  for (const name of ['unix', 'file', 'listen'])
    await refuses(t, name, [name === 'listen' ? 'number' : 'text'], (it) => received({ [name]: it }))
  await refuses(t, 'options of a place', objects, (it) => sent('/dev/null', it))
  await refuses(t, 'options of a place', objects, (it) => received('/dev/null', it))
  // Also where the place has no use for them.
  for (const name of ['overwrite', 'insecure', 'reuseBuffers', 'waitMs']) {
    const taken: Kind[] = name === 'waitMs' ? ['number', 'fraction'] : ['boolean']
    for (const place of [() => '/dev/null', () => new WritableStream()])
      await refuses(t, name, taken, (it) => sent(place(), { [name]: it }))
    for (const place of [() => '/dev/null', () => new ReadableStream()])
      await refuses(t, name, taken, (it) => received(place(), { [name]: it }))
  }
})

test('what is looked at and looked into', async (t) => {
  await refuses(t, 'probe', [], probe)
  await refuses(t, 'probe, its options', objects, (it) => probe(address, it))
  await refuses(t, 'beforeOpening', ['function'], (beforeOpening) => probe(address, { beforeOpening }))
  await refuses(t, 'listDevices', objects, listDevices)
  await refuses(t, 'root', ['text'], (root) => listDevices({ root }))
  await refuses(t, 'findDevice', [], findDevice)
  await refuses(t, 'doctor', [], doctor)
  await refuses(t, 'inspect', ['text'], (it) => inspect(it).outline())
  await refuses(t, 'compareFiles', ['text'], (it) => compareFiles('/dev/null', it))
  await refuses(t, 'dataOf', ['text'], (it) => dataOf('/dev/null', it).next())
  await refuses(t, 'foldTrace', [], foldTrace)
  await refuses(t, 'foldTrace, its options', objects, (it) => foldTrace('', it))
  await refuses(t, 'diffTraces', [], (it) => diffTraces('', it))
  for (const name of ['only', 'without']) await refuses(t, name, ['list'], (it) => foldTrace('', { [name]: it }))
  await refuses(t, 'device of a trace', ['text'], (device) => foldTrace('', { device }))
  await refuses(t, 'simulate', objects, simulate)
  await refuses(t, 'scenarioText', objects, scenarioText)
})
