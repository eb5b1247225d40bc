// A destination that refuses in the middle of the data, over web streams: both ends hear of it and end, whoever waits for
// whom at that moment.
import test from 'ava'
import { isVfioError, restore, save } from 'vfio-migration'
import { openModel } from 'vfio-migration/model'

test('both ends of a migration that is refused in the middle end each time', async (t) => {
  t.timeout(120_000)
  for (let time = 0; time < 40; time += 1) {
    const source = await openModel('model:size=8MiB,pre-copy')
    const destination = await openModel('model:size=8MiB,pre-copy,fault=write@2:flip')
    const [forward, backward] = [new TransformStream<Uint8Array>(), new TransformStream<Uint8Array>()]
    const [saving, restoring] = [await save(source.device), await restore(destination.device)]
    const [left, arrived] = await Promise.allSettled([
      saving.sendTo({ readable: backward.readable, writable: forward.writable }),
      restoring.receiveFrom({ readable: forward.readable, writable: backward.writable }),
    ])
    if (left.status !== 'rejected' || arrived.status !== 'rejected') return t.fail('the fault did not happen')
    t.true(isVfioError(arrived.reason, 'ERR_VFIO_DEVICE_FAILED'), String(arrived.reason))
    if (!isVfioError(left.reason, 'ERR_VFIO_REFUSED')) return t.fail(String(left.reason))
    // The guest goes on where it was.
    const device = left.reason.details.summary?.devices[0]?.device
    t.is(device?.state, 'running')
    await device?.close()
  }
})
