// In a file, and so in a process, of its own: the count is that of the process.
import test from 'ava'
import { diagnostics, restore, save } from 'vfio-migration'
import { pair } from './support/pair.js'
import { temporary } from './support/temporary.js'

test.serial('no buffer is made for JavaScript on the native path', async (t) => {
  const file = await temporary(t)
  const { source, destination } = await pair(t, 'size=32MiB,pre-copy,p2p,dirty-tracking')
  const saving = await save(source.device, { memory: source.memory })
  const restoring = await restore(destination.device, { memory: destination.memory })
  const [out] = await Promise.all([saving.sendTo({ unix: file('s') }), restoring.receiveFrom({ unix: file('s') })])
  t.true(out.bytes >= 32n << 20n)
  t.is(diagnostics().buffersForJavaScript, 0)
})

test.serial('the count can count: on the JavaScript path there are buffers', async (t) => {
  const { source, destination } = await pair(t, 'size=4MiB')
  const saving = await save(source.device)
  const restoring = await restore(destination.device)
  await saving.readable.pipeTo(restoring.writable)
  await Promise.all([saving.done, restoring.done])
  t.true(diagnostics().buffersForJavaScript > 0)
})
