// The command line's own way to devices of the kernel, on software devices that are preloaded: the addon for this goes
// through libc.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { main, run } from './support/cli.js'
import { temporary } from './support/temporary.js'

const addon = fileURLToPath(new URL('../../ts/native/libc/vfio-migration.node', import.meta.url))
const device = 'model:size=1MiB,pre-copy,p2p,dirty-tracking,seed=11'
const byGroup = 'vfio:0000:00:01.0?by=group'
const byCdev = 'cdev:/dev/vfio/devices/vfio7000'

/** Runs the command line as a program on a software device; the trace of what it did to it comes with it. */
const onDevice = async (trace: string, settings: string, ...args: string[]) => {
  const words = ['--device', settings, '--quiet', '--trace', trace, '--']
  const ran = await run('run', ...words, 'env', `VFIO_MIGRATION_ADDON=${addon}`, process.execPath, main, ...args)
  return { ...ran, trace: await readFile(trace, 'utf8') }
}

const held = (trace: string, note: string) => new RegExp(`note ${note} (.*)`).exec(trace)?.[1]

for (const [from, to] of [
  [byGroup, byCdev],
  [byCdev, byGroup],
] as const) {
  test(`a device moves from ${from} to ${to}, and nobody resets it`, async (t) => {
    const path = await temporary(t)
    const saved = await onDevice(path('source'), device, 'save', `a=${from}`, '--to', path('state'), '--fresh')
    t.is(saved.status, 0, saved.stderr)
    t.regex(saved.stdout, /running → pre-copy → pre-copy-p2p → stop-copy → stop/)
    const restored = await onDevice(
      path('there'),
      device,
      'restore',
      `a=${to}`,
      '--from',
      path('state'),
      '--then',
      'run',
    )
    t.is(restored.status, 0, restored.stderr)
    t.truthy(held(saved.trace, 'saved'))
    t.is(held(restored.trace, 'loaded'), held(saved.trace, 'saved'), 'what the device holds')
    for (const { trace } of [saved, restored]) t.is(held(trace, 'resets'), '0', trace)
  })
}

test('probe says of a device what it is', async (t) => {
  const { status, stdout, stderr } = await onDevice((await temporary(t))('trace'), device, 'probe', byCdev, '--json')
  t.is(status, 0, stderr)
  t.like(JSON.parse(stdout), { ok: true })
  t.regex(stdout, /"pre-copy"/)
})

test('a device that refuses a change of state is back where it was, and the file is not there', async (t) => {
  const path = await temporary(t)
  const failing = `${device},fault=set-state@2:EIO`
  const { status, stderr, trace } = await onDevice(
    path('trace'),
    failing,
    'save',
    `a=${byCdev}`,
    '--to',
    path('state'),
    '--fresh',
  )
  t.is(status, 1)
  t.regex(stderr, /ERR_VFIO_DEVICE_FAILED/)
  t.regex(trace, /set-state pre-copy-p2p -> EIO/)
  t.regex(trace, /pre-copy +set-state running\n/)
  t.is(held(trace, 'resets'), '0', trace)
  await t.throwsAsync(readFile(path('state')), { code: 'ENOENT' })
})
