// The benchmark's own process uses the facade from inside, so that a change there can break it: it has to load.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { save } from 'vfio-migration'
import { model } from './support/pair.js'
import { temporary } from './support/temporary.js'

const end = fileURLToPath(new URL('../../scripts/bench-end.mjs', import.meta.url))

test('an end of the benchmark loads, and looks into a file', async (t) => {
  const file = (await temporary(t))('state')
  const { device } = await model(t, 'size=64KiB')
  const { devices } = await (await save(device)).sendTo(file)
  await devices[0]?.device?.close()
  const { stdout } = await promisify(execFile)(process.execPath, [end, 'inspect', 'native', file])
  t.true(Number(stdout) > 0, stdout)
})
