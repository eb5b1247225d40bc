// The command line's own way to devices of the kernel, on software devices that are preloaded: the addon for this goes
// through libc.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
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

/** Moves what is at `from` to what is at `to`, each in a program of its own, by a file. */
const moves = async (
  t: ExecutionContext,
  settings: string,
  [from, to]: readonly [string, string],
  ...flags: string[]
) => {
  const path = await temporary(t)
  const save = ['save', `a=${from}`, '--to', path('state'), '--fresh', ...flags]
  const saved = await onDevice(path('source'), settings, ...save)
  t.is(saved.status, 0, saved.stderr)
  const restore = ['restore', `a=${to}`, '--from', path('state'), '--then', 'run', ...flags]
  const restored = await onDevice(path('there'), settings, ...restore)
  t.is(restored.status, 0, restored.stderr)
  t.truthy(held(saved.trace, 'saved'))
  t.is(held(restored.trace, 'loaded'), held(saved.trace, 'saved'), 'what the device holds')
  for (const { trace } of [saved, restored]) t.is(held(trace, 'resets'), '0', trace)
  return { saved, restored }
}

const ways = [
  [byGroup, byCdev],
  [byCdev, byGroup],
] as const

for (const way of ways) {
  test(`a device moves from ${way[0]} to ${way[1]}, and nobody resets it`, async (t) => {
    const { saved } = await moves(t, device, way)
    t.regex(saved.stdout, /running → pre-copy → pre-copy-p2p → stop-copy → stop/)
  })
}

const region = 'model:size=256KiB,pre-copy,protocol=region,seed=11'

for (const [window, settings, flags, reads] of [
  ['by accesses', `${region},p2p`, [], /read-window 263248B/],
  ['in part by a mapping', `${region},mmap=sparse,segment=20KiB..64KiB,window=64KiB`, [], /read-window/],
  ['by a mapping, strict', `${region},mmap=whole,dialect=libvfio-user`, ['--dialect', 'libvfio-user'], undefined],
] as const) {
  test(`a region moves, its window ${window}`, async (t) => {
    const { saved, restored } = await moves(t, settings, ways[0], '--experimental-region', ...flags)
    for (const { trace } of [saved, restored]) t.regex(trace, /write-device-state/)
    // What is mapped is read unseen.
    if (reads) t.regex(saved.trace, reads)
    else t.notRegex(saved.trace, /read-window/)
  })
}

test('a region is left alone by who does not ask for it', async (t) => {
  const path = await temporary(t)
  const save = ['save', `a=${byGroup}`, '--to', path('state'), '--fresh']
  const { status, stderr, trace } = await onDevice(path('trace'), region, ...save)
  t.is(status, 2)
  t.regex(stderr, /has a migration region/)
  t.notRegex(trace, /device-state/)
})

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
