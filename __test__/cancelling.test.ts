import test from 'ava'
import { isVfioError, restore, type SessionEvent, save } from 'vfio-migration'
import { pair } from './support/pair.js'
import { temporary } from './support/temporary.js'

test('a signal that was aborted before throws its reason, and nothing is spent', async (t) => {
  const { source, destination } = await pair(t)
  const reason = new Error('never mind')
  const signal = AbortSignal.abort(reason)
  t.is(await t.throwsAsync(save(source.device, { signal })), reason)
  t.is(await t.throwsAsync(restore(destination.device, { signal })), reason)
  t.false(source.device.spent || destination.device.spent)
})

test('waiting for a restore that does not come can be cancelled', async (t) => {
  const file = await temporary(t)
  const { source } = await pair(t)
  const controller = new AbortController()
  const saving = await save(source.device, { signal: controller.signal })
  const sent = saving.sendTo({ unix: file('nobody') }, { waitMs: 60_000 })
  const reason = new Error('changed my mind')
  setTimeout(() => controller.abort(reason), 50)
  const error = await t.throwsAsync(sent)
  if (!isVfioError(error, 'ERR_VFIO_CANCELLED')) return t.fail(String(error))
  t.is(error.cause, reason)
  t.is(error.details.summary?.devices[0]?.device?.state, 'running')
})

test('waiting for a save that does not come can be cancelled', async (t) => {
  const file = await temporary(t)
  const { destination } = await pair(t)
  const restoring = await restore(destination.device)
  const received = restoring.receiveFrom({ unix: file('nobody') })
  for await (const event of restoring.events()) if (event.type === 'listening') restoring.cancel('changed my mind')
  const error = await t.throwsAsync(received)
  t.true(isVfioError(error, 'ERR_VFIO_CANCELLED'), String(error))
  t.is(destination.model.resets, 0)
})

test('cancelling in pre-copy brings the source back, and the destination is reset', async (t) => {
  const file = await temporary(t)
  const { source, destination } = await pair(t, 'size=64MiB,pre-copy,p2p')
  const controller = new AbortController()
  const saving = await save(source.device, { signal: controller.signal, rate: 8 << 20 })
  const restoring = await restore(destination.device)
  const done = Promise.allSettled([saving.sendTo({ unix: file('s') }), restoring.receiveFrom({ unix: file('s') })])
  for await (const event of saving.events()) if (event.type === 'progress') controller.abort()
  const [out, into] = await done
  if (out.status !== 'rejected' || into.status !== 'rejected') return t.fail('both ends must say that it was cancelled')
  t.is(out.reason.code, 'ERR_VFIO_CANCELLED')
  t.is(out.reason.details.summary.devices[0].outcome, 'returned')
  t.is(out.reason.details.summary.devices[0].device.state, 'running')
  t.is(source.model.resets, 0)
  t.is(destination.model.resets, 1)
  t.is(into.reason.details.summary.devices[0].outcome, 'reset')
})

test('after the guest was given up it is too late, and said so: thrown to a caller, an event for a signal', async (t) => {
  const file = await temporary(t)
  const { source, destination } = await pair(t)
  const controller = new AbortController()
  const saving = await save(source.device, { signal: controller.signal })
  const restoring = await restore(destination.device, {
    takeOver: () => {
      t.throws(() => saving.cancel(), { code: 'ERR_VFIO_TOO_LATE' })
      controller.abort()
    },
  })
  const seen: SessionEvent[] = []
  const following = (async () => {
    for await (const event of saving.events()) seen.push(event)
  })()
  const [out] = await Promise.all([saving.sendTo({ unix: file('s') }), restoring.receiveFrom({ unix: file('s') })])
  await following
  t.is(out.outcome, 'completed')
  t.true(seen.some(({ type }) => type === 'too-late'))
})

test('await using cancels a session that still runs, and waits for its end', async (t) => {
  const file = await temporary(t)
  const { source, destination } = await pair(t, 'size=64MiB,pre-copy,p2p')
  let done: Promise<unknown>
  {
    await using restoring = await restore(destination.device)
    await using saving = await save(source.device, { rate: 8 << 20 })
    restoring.receiveFrom({ unix: file('s') }).catch(() => {})
    done = saving.sendTo({ unix: file('s') })
    done.catch(() => {})
    for await (const event of saving.events()) if (event.type === 'progress') break
  }
  await t.throwsAsync(done, { code: 'ERR_VFIO_CANCELLED' })
})

test('switchover can be asked for', async (t) => {
  const file = await temporary(t)
  const { source, destination } = await pair(t, 'size=16MiB,pre-copy,p2p')
  const saving = await save(source.device, { rate: 8 << 20, maxPreCopyMs: 60_000 })
  const restoring = await restore(destination.device)
  const done = Promise.all([saving.sendTo({ unix: file('s') }), restoring.receiveFrom({ unix: file('s') })])
  let asked = false
  for await (const event of saving.events()) {
    if (event.type !== 'progress' || asked) continue
    asked = true
    saving.switchover()
  }
  const [out] = await done
  t.is(out.preCopyEnd, 'requested')
})
