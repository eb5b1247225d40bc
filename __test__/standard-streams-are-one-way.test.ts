import { spawn } from 'node:child_process'
import { once } from 'node:events'
import test from 'ava'
import { main } from './support/cli.js'

// What Node gives a child as its standard streams are socket pairs, which look as if messages could come back.
test('save --to - into restore --from -, over what Node calls pipes', async (t) => {
  const device = 'model:size=1MiB,pre-copy'
  const save = spawn(process.execPath, [main, 'save', device, '--to', '-', '--quiet'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const restore = spawn(process.execPath, [main, 'restore', device, '--from', '-', '--json'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let told = ''
  restore.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text
  })
  save.stdout.pipe(restore.stdin)
  const [[saved], [restored]] = await Promise.all([once(save, 'close'), once(restore, 'close')])
  t.deepEqual([saved, restored], [0, 0])
  t.is(JSON.parse(told).outcome, 'completed')
})
