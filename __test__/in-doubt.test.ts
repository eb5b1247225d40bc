import test, { type ExecutionContext } from 'ava'
import { isVfioError, type RestoreSession, restore, type SaveSession, save } from 'vfio-migration'
import { pair } from './support/pair.js'

/**
 * A migration whose connection breaks after the destination has loaded everything and before it hears that it owns the
 * guest: both ends are in doubt.
 */
const inDoubt = async (t: ExecutionContext) => {
  const both = await pair(t, 'size=1MiB,p2p')
  const forward = new TransformStream<Uint8Array, Uint8Array>()
  const backward = new TransformStream<Uint8Array, Uint8Array>()
  let held = false
  // What the source says after the destination has everything does not arrive.
  const wire = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, controller) => {
      if (!held) controller.enqueue(chunk)
    },
  })
  const forwarding = forward.readable.pipeTo(wire.writable)
  forwarding.catch(() => {})
  const saving = await save(both.source.device, { deadlineMs: 15_000 })
  const restoring = await restore(both.destination.device, {
    deadlineMs: 15_000,
    configure: () => {
      held = true
    },
  })
  const writable = backward.writable
  const ends = {
    source: saving.sendTo({ readable: backward.readable, writable: forward.writable }),
    destination: restoring.receiveFrom({ readable: wire.readable, writable }),
  }
  ends.source.catch(() => {})
  ends.destination.catch(() => {})
  for await (const event of saving.events()) if (event.type === 'given-up') break
  await wire.writable.abort(new Error('cut')).catch(() => {})
  await forward.writable.abort(new Error('cut')).catch(() => {})
  await Promise.all([doubtful(restoring), doubtful(saving)])
  t.true(saving.inDoubt && restoring.inDoubt)
  return { ...both, saving, restoring, ends }
}

const doubtful = async (session: SaveSession | RestoreSession) => {
  if (session.inDoubt) return
  for await (const event of session.events()) if (event.type === 'in-doubt') return
}

test('in doubt both ends keep everything, and closing is an error that closes nothing', async (t) => {
  const { saving, restoring, source, destination, ends } = await inDoubt(t)
  await t.throwsAsync(saving.close(), { code: 'ERR_VFIO_IN_DOUBT' })
  await t.throwsAsync(restoring.close(), { code: 'ERR_VFIO_IN_DOUBT' })
  t.true(saving.inDoubt && restoring.inDoubt)
  t.is(source.model.resets + destination.model.resets, 0)
  const into = await restoring.claim()
  t.is(into.devices[0]?.device?.state, 'running')
  // The way back was not cut: the late word settles it at the source.
  t.is((await ends.source).outcome, 'completed')
  t.is(destination.model.stopped?.proof, source.model.stopped?.proof)
})

test('in doubt the source takes the guest back by force, and the destination discards', async (t) => {
  const { saving, restoring, source } = await inDoubt(t)
  const out = await saving.takeBack({ force: true }).then(
    (summary) => summary,
    (error) => error.details.summary,
  )
  t.is(out.devices[0].outcome, 'returned')
  t.is(out.devices[0].device.state, 'running')
  await restoring.discard().catch((error) => t.true(isVfioError(error), String(error)))
  t.is(source.model.resets, 0)
})

test('in doubt the source gives up for good', async (t) => {
  const { saving, restoring, destination } = await inDoubt(t)
  await saving.discard().catch((error) => t.true(isVfioError(error), String(error)))
  t.is((await restoring.claim()).outcome, 'completed')
  t.is(destination.model.resets, 0)
})
