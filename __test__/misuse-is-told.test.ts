import test from 'ava'
import { isVfioError, openDevice, restore, save, toJson, VfioError } from 'vfio-migration'
import { GuestMemory, openModel } from 'vfio-migration/model'
import { model } from './support/pair.js'

/** JavaScript without a compiler. */
type Loose = Record<string, (...args: unknown[]) => Promise<Loose>> & {
  readonly data: unknown
  readonly spent: boolean
}
const loose = (value: unknown) => value as Loose
const usage = { code: 'ERR_VFIO_USAGE' }

test('states that cannot be asked for', async (t) => {
  const { device } = await model(t, 'size=64KiB')
  const any = loose(device)
  await t.throwsAsync(any.to?.('flying') as Promise<Loose>, {
    ...usage,
    message: /'flying' is no migration state: ask for one of running/,
  })
  await t.throwsAsync(any.to?.('error') as Promise<Loose>, { ...usage, message: /no arcs lead from running to error/ })
  const error = await t.throwsAsync(any.to?.('pre-copy') as Promise<Loose>)
  t.true(isVfioError(error, 'ERR_VFIO_UNSUPPORTED') && error.details.missing?.[0] === 'pre-copy')
  t.false(any.spent, 'what was refused has spent nothing')
})

test('members that a state does not have', async (t) => {
  const { device } = await model(t, 'size=64KiB')
  const any = loose(device)
  t.throws(() => any.data, { ...usage, message: /a device in running has no data stream/ })
  await t.throwsAsync(any.estimate?.() as Promise<Loose>, {
    ...usage,
    message: /a device in running gives no estimate/,
  })
})

test('addresses that make no sense', async (t) => {
  await t.throwsAsync(openDevice('floppy:0'), { code: 'ERR_VFIO_UNSUPPORTED', message: /floppy/ })
  await t.throwsAsync(openDevice('vfio:ffff:3b:00.0'), { code: 'ERR_VFIO_HOST', message: /no device/ })
  await t.throwsAsync(openDevice({ fd: -1 }), { ...usage, message: /-1 is no file descriptor/ })
  await t.throwsAsync(openDevice({ fd: 0.5 }), usage)
  await t.throwsAsync(openDevice({ fd: 99_999 }), { ...usage, message: /99999 cannot be used/ })
  for (const tracking of [null, {}, { of: 'floppy' }, { of: 'page-table' }, { of: 'container', started: -1 }])
    await t.throwsAsync(openDevice({ fd: 0 }, { tracking: tracking as never }), usage)
  await t.throwsAsync(openDevice(null as unknown as string), usage)
  await t.throwsAsync(openDevice('nothing'), usage)
  await t.throwsAsync(openDevice('model:size=lots'), { ...usage, message: /size=lots/ })
  await t.throwsAsync(openDevice(7 as unknown as string), usage)
  await t.throwsAsync(openModel(undefined as unknown as string), usage)
})

test('sessions of nothing, of other things, of devices that are used up', async (t) => {
  const { device } = await model(t, 'size=64KiB')
  await t.throwsAsync(save([]), usage)
  await t.throwsAsync(save({} as never), { ...usage, message: /not a device/ })
  await t.throwsAsync(save([device, device]), { ...usage, message: /two devices are called 'gpu0'/ })
  t.false(device.spent)
  const stopped = await device.to('stop')
  await t.throwsAsync(save(device), { code: 'ERR_VFIO_STALE_HANDLE' })
  const session = await save(stopped)
  await t.throwsAsync(restore(device), { ...usage, message: /is in a session/ })
  await session.close()
  await device.close()
  await t.throwsAsync(restore(device), { code: 'ERR_VFIO_CLOSED' })
})

test('options that are none', async (t) => {
  const { device } = await model(t, 'size=64KiB')
  for (const options of [
    { deadlineMs: -1 },
    { deadlineMs: Number.NaN },
    { maxPreCopyMs: '3s' },
    { chunk: 0 },
    { depth: 1.5 },
    { rate: 0n },
    { rate: -7 },
    { then: 'panic' },
    { onUnrecoverable: 'pray' },
    { pause: 'later' },
    { memory: {} },
  ]) {
    const error = await t.throwsAsync(save(device, options as never), usage, toJson(options))
    t.true(error.message.includes(Object.keys(options)[0] as string), error.message)
  }
  t.false(device.spent, 'what was refused has spent nothing')
  for (const memory of [{ length: 0n }, { length: 4095n }, { length: 4096 as never }, { length: 4096n, iova: 1n }]) {
    t.throws(() => new GuestMemory(memory), usage)
  }
})

test('places that are none: the session ends, the devices come back', async (t) => {
  const places: unknown[] = [
    undefined,
    7,
    {},
    'http:x',
    'unix:',
    'tcp:localhost',
    'tcp:localhost:70000',
    'fd:x',
    { fd: -1 },
    { fd: 987_654 },
    { fd: 'x' },
  ]
  for (const place of places) {
    const { device } = await model(t, 'size=64KiB')
    const session = await save(device)
    const error = await t.throwsAsync(session.sendTo(place as never), usage, String(place))
    if (!isVfioError(error)) return t.fail()
    const back = error.details.summary?.devices[0]
    t.is(back?.outcome, 'returned')
    t.is(back?.device?.state, 'running')
  }
})

test('a device that is closed before its session starts takes no other with it', async (t) => {
  const [first, second, third] = [
    await model(t, 'size=64KiB', 'one'),
    await model(t, 'size=64KiB', 'two'),
    await model(t, 'size=64KiB', 'three'),
  ]
  const session = await save([first.device, second.device, third.device], { noP2pTraffic: true })
  await second.device.close()
  const error = await t.throwsAsync(session.sendTo('/dev/null'), { ...usage, message: /the device is closed/ })
  if (!isVfioError(error)) return t.fail()
  for (const place of [0, 2]) {
    const back = error.details.summary?.devices[place]?.device
    t.is(back?.state, 'running')
    t.true(((await back?.dataSize()) ?? 0n) >= 65_536n)
  }
})

test('streams that are locked', async (t) => {
  const { source, destination } = { source: await model(t), destination: await model(t) }
  const out = new WritableStream<Uint8Array>()
  out.getWriter()
  await t.throwsAsync((await save(source.device)).sendTo(out), { ...usage, message: /the stream is locked/ })
  const incoming = new ReadableStream<Uint8Array>()
  incoming.getReader()
  await t.throwsAsync((await restore(destination.device)).receiveFrom(incoming), {
    ...usage,
    message: /the stream is locked/,
  })
})

test('a session starts once, and commands need one that runs', async (t) => {
  const { device } = await model(t, 'size=64KiB')
  const session = await save(device, { then: 'resume' })
  t.throws(() => session.switchover(), usage)
  await t.throwsAsync(async () => session.takeBack(), usage)
  for await (const _ of session);
  await t.throwsAsync(session.sendTo('/dev/null'), { ...usage, message: /started already/ })
  await session.done
})

test('an error tells its code, hides its details, and is known across copies', async (t) => {
  const error = await t.throwsAsync(openDevice('floppy:0'))
  t.true(error instanceof VfioError)
  t.is(error.name, 'VfioError')
  t.deepEqual(Object.keys(error), ['code'])
  t.true(isVfioError(error, 'ERR_VFIO_UNSUPPORTED'))
  t.false(isVfioError(error, 'ERR_VFIO_USAGE'))
  const other = Object.assign(new Error('of another copy'), {
    code: 'ERR_VFIO_USAGE',
    [Symbol.for('vfio-migration.error')]: true,
  })
  t.true(isVfioError(other, 'ERR_VFIO_USAGE'))
  t.false(isVfioError(new Error('plain')))
  t.false(isVfioError(null))
})

test('bigints become JSON that every reader can hold', (t) => {
  t.is(
    toJson({ small: 7n, large: 2n ** 53n, largest: 2n ** 64n - 1n }),
    '{"small":7,"large":"9007199254740992","largest":"18446744073709551615"}',
  )
})
