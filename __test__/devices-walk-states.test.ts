import test from 'ava'
import { type AnyDevice, type Device, isVfioError, openDevice, type State, targets } from 'vfio-migration'
import { openModel } from 'vfio-migration/model'
import { model } from './support/pair.js'

const all = 'size=64KiB,pre-copy,p2p'
/** For those who have no compiler, and for walks that are computed. */
type Untyped = {
  readonly state: string
  to(target: State): Promise<Untyped>
  reset(): Promise<Untyped>
  close(): Promise<void>
}

test('a device is found running, says what it is, and closes', async (t) => {
  const device = await openDevice(`model:${all}`, { id: 'gpu0' })
  t.is(device.state, 'running')
  t.is(device.id, 'gpu0')
  t.is(device.protocol, 'fsm')
  t.deepEqual([...device.capabilities].sort(), ['p2p', 'pre-copy'])
  t.true(device.passport.some(({ key, value, needed }) => key === 'device' && value === 'model' && needed))
  t.true(device.supports('pre-copy', 'p2p'))
  t.is(typeof (await device.dataSize()), 'bigint')
  await device.close()
  await device.close()
  await t.throwsAsync(device.to('stop'), { code: 'ERR_VFIO_CLOSED' })
})

for (const from of Object.keys(targets) as State[]) {
  if (from === 'error' || from === 'resuming') continue
  test(`from ${from} a device goes where the table says, and nowhere else`, async (t) => {
    for (const target of Object.keys(targets) as State[]) {
      const { device } = await openModel(`model:${all}`)
      const start = (from === 'running' ? device : await (device as unknown as Untyped).to(from)) as Untyped
      t.is(start.state, from)
      if ((targets[from] as readonly State[]).includes(target)) {
        const there = await start.to(target)
        t.is(there.state, target)
      } else if (target !== from) {
        await t.throwsAsync(start.to(target), {
          code: 'ERR_VFIO_USAGE',
          message: new RegExp(`from ${from} to ${target}`),
        })
      }
      await start.close()
    }
  })
}

test('a change of state spends the handle, and only the newest one can be used', async (t) => {
  const { device } = await model(t, all)
  const stopped = await device.to('stop')
  t.true(device.spent)
  t.false(stopped.spent)
  const error = await t.throwsAsync(device.to('stop-copy'))
  t.true(isVfioError(error, 'ERR_VFIO_STALE_HANDLE') && error.details.state === 'running')
  t.is((await stopped.to('running')).state, 'running')
})

test('two changes at once: one of them finds the handle spent', async (t) => {
  const { device } = await model(t, all)
  const results = await Promise.allSettled([device.to('stop'), device.to('stop-copy')])
  t.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  )
})

test('a failed change gives a live handle in the state that the device says', async (t) => {
  const { device } = await model(t, `${all},fault=set-state@1:EIO:1`)
  const error = await t.throwsAsync(device.to('stop'))
  if (!isVfioError(error, 'ERR_VFIO_DEVICE_FAILED')) return t.fail(String(error))
  t.is(error.details.from, 'running')
  t.is(error.details.to, 'stop')
  t.is(error.details.errno, 'EIO')
  t.true(device.spent)
  const live = error.details.device as AnyDevice
  t.is(live.state, 'running-p2p')
  if (live.state === 'running-p2p') t.is((await live.to('running')).state, 'running')
})

test('only a reset leads out of error', async (t) => {
  const { device } = await model(t, `${all},fault=set-state@1:error`)
  const error = await t.throwsAsync(device.to('stop'))
  if (!isVfioError(error, 'ERR_VFIO_DEVICE_FAILED')) return t.fail(String(error))
  const live = error.details.device as AnyDevice
  t.is(live.state, 'error')
  await t.throwsAsync((live as unknown as Untyped).to('running'), {
    code: 'ERR_VFIO_USAGE',
    message: /only reset\(\) leads out of it/,
  })
  const fresh = await live.reset()
  t.is(fresh.state, 'running')
})

test('data flows from one device to another through JavaScript, and arrives whole', async (t) => {
  const source = await model(t, 'size=3MiB,pre-copy,p2p')
  const destination = await model(t, 'size=3MiB,pre-copy,p2p')
  if (!source.device.supports('pre-copy', 'p2p')) return t.fail()
  const pre = await source.device.to('pre-copy')
  t.true(((await pre.estimate()).initialBytes ?? 0n) > 0n)
  const resuming = await destination.device.to('resuming')
  const writer = resuming.data.getWriter()
  const stream = pre.data
  const reader = stream.getReader()
  const first = await reader.read()
  await writer.write(first.value as Uint8Array)
  const copy = await pre.to('stop-copy')
  t.is(copy.data, stream, 'one stream from pre-copy to the end')
  for (let next = await reader.read(); !next.done; next = await reader.read()) await writer.write(next.value)
  const stopped = await resuming.to('stop')
  await copy.to('stop')
  t.is(stopped.state, 'stop')
  t.is(destination.model.stopped?.proof, source.model.stopped?.proof)
})

test("a device's data cannot be read once the device has left", async (t) => {
  const { device } = await model(t, 'size=3MiB')
  const copy = await device.to('stop-copy')
  const reader = copy.data.getReader()
  await reader.read()
  const stopped = await copy.to('stop')
  await t.throwsAsync(reader.read(), { code: 'ERR_VFIO_STALE_HANDLE' })
  t.is(stopped.state, 'stop')
})

test('an aborted signal refuses a change before the device is asked, and spends nothing', async (t) => {
  const { device } = await model(t, all)
  await t.throwsAsync(device.to('stop', { signal: AbortSignal.abort(new Error('no more')) }), { message: 'no more' })
  t.false(device.spent)
})

test('await using closes a device', async (t) => {
  let seen: Device
  {
    await using device = await openDevice('model:size=64KiB')
    seen = device
    t.is(device.state, 'running')
  }
  await t.throwsAsync(seen.reset(), { code: 'ERR_VFIO_CLOSED' })
})
