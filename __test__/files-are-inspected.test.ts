// Files that hold a migration, as the facade and the command line look into them.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { gunzipSync } from 'node:zlib'
import test, { type ExecutionContext } from 'ava'
import { compareFiles, dataOf, inspect, isVfioError, type Outline, type Part } from 'vfio-migration'
import { lastJson, main, run } from './support/cli.js'
import { temporary } from './support/temporary.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A file that a save wrote, and a place for others beside it. */
const saved = async (t: ExecutionContext, device = 'gpu=model:size=300KiB,seed=3', ...more: string[]) => {
  const file = await temporary(t)
  const path = file('state')
  const { status, stderr } = await run('save', device, '--to', path, '--quiet', ...more)
  t.is(status, 0, stderr)
  return { path, file }
}

/** What a pipe says of a file whose bytes come through standard input. */
const piped = async (bytes: Uint8Array, ...args: string[]) => {
  const child = spawn(process.execPath, [main, 'inspect', '-', ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.on('error', () => {}).end(bytes)
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  const [status] = await once(child, 'close')
  return { status, stdout }
}

const joined = async (pieces: AsyncIterable<Uint8Array>) => {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}

test('inspect() gives the parts of a file side by side, and its outline', async (t) => {
  const { path } = await saved(t)
  const whole = await readFile(path)
  const inspection = inspect(path)
  const parts: Part[] = []
  for await (const part of inspection) parts.push(part)
  let end = 0n
  for (const { at, len } of parts) {
    t.is(at, end)
    end += len
  }
  t.is(end, BigInt(whole.length))
  const outline: Outline = await inspection.outline()
  t.like(outline, { format: 'stream', mode: 'one-way', ending: 'stopped', problems: [], parts: parts.length })
  t.is(outline.damage, undefined)
  t.like(outline.objects[0], { id: 'gpu', protocol: 'fsm', complete: true, recognised: { family: 'model' } })
  t.true(parts.some(({ type }) => type === 'text'))
  await t.throwsAsync(async () => {
    for await (const _ of inspection);
  })
  // The same from a web stream in other pieces, for the outline alone.
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < whole.length; at += 777) controller.enqueue(whole.subarray(at, at + 777))
      controller.close()
    },
  })
  t.deepEqual(await inspect(stream).outline(), outline)
})

test('dataOf() gives what was read from the device', async (t) => {
  const { path } = await saved(t)
  const data = await joined(dataOf(path, 'gpu'))
  const { objects } = await inspect(path).outline()
  t.is(objects[0]?.bytes as bigint, BigInt(data.length))
  t.is(data.toString('latin1', 8, 16), 'VFIOMODL')
  const error = await t.throwsAsync(joined(dataOf(createReadStream(path), 'cpu')))
  t.true(isVfioError(error, 'ERR_VFIO_USAGE'))
  t.true(error?.message.includes("no device 'cpu': it has gpu"), error?.message)
  const damaged = await readFile(path)
  damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] as number) ^ 1
  const broken = (async function* () {
    yield damaged
  })()
  t.true(isVfioError(await t.throwsAsync(joined(dataOf(broken, 'gpu'))), 'ERR_VFIO_STREAM_CORRUPT'))
})

test('compareFiles() tells devices and frames', async (t) => {
  const { path } = await saved(t)
  const { path: other } = await saved(t, 'gpu=model:size=300KiB,seed=4')
  t.deepEqual(await compareFiles(path, path), [])
  const differences = await compareFiles(path, other)
  t.true(differences.some(({ of, what, frame }) => of === 'gpu' && what === 'other bytes' && frame === 0))
})

test('inspect FILE, --frames, --verify and --json', async (t) => {
  const { path } = await saved(t, 'gpu=model:size=300KiB,pre-copy')
  const shown = await run('inspect', path)
  t.is(shown.status, 0, shown.stderr)
  t.regex(
    shown.stdout,
    /^a stream of vfio-migration, one-way: 3\d\d KiB in \d+ parts\nsession [0-9a-f]{32}\nends: stopped\n/,
  )
  t.regex(
    shown.stdout,
    /\n +0 +gpu +device fsm stop-copy\+pre-copy +\d+ KiB in \d+ frames, initial data once, complete\n/,
  )
  t.true(shown.stdout.includes('    data: model: format 1, size 307200, pageSize 4096\n'), shown.stdout)
  t.true(shown.stdout.split('\n').every((line) => line.length <= 100))
  t.is((await run('inspect', path, '--verify')).status, 0)
  const frames = await run('inspect', path, '--frames')
  t.regex(frames.stdout, /^ {11}0 {10}64 {2}preamble\n/)
  t.regex(frames.stdout, /\n +\d+ +\d+ {2}data {2}object 0 {2}number \d+ {2}offset 0 {2}/)
  const lines = (await run('inspect', path, '--frames', '--json')).stdout.trim().split('\n')
  const last = JSON.parse(lines.at(-1) as string)
  t.deepEqual([last.ok, last.outline.parts], [true, lines.length - 1])
  t.is(JSON.parse(lines[0] as string).type, 'preamble')
})

test('inspect --verify of a damaged file, at every kind of place', async (t) => {
  const { path, file } = await saved(t)
  const sound = await readFile(path)
  for (const at of [0, 30, 100, 300, sound.length >> 1, sound.length - 1]) {
    const damaged = Buffer.from(sound)
    damaged[at] = (damaged[at] as number) ^ 0x40
    await writeFile(file('damaged'), damaged)
    const { status, stdout } = await run('inspect', file('damaged'), '--verify')
    t.is(status, 1, `byte ${at}`)
    const where = Number(/^damaged at byte (\d+): expected .+, found .+$/m.exec(stdout)?.[1])
    t.true(where <= at, stdout)
  }
  await writeFile(file('cut'), sound.subarray(0, -100))
  t.is((await run('inspect', file('cut'), '--verify')).status, 1)
  t.like(lastJson(await run('inspect', file('cut'), '--json')), { ok: false })
})

test('inspect --extract and --diff', async (t) => {
  const { path, file } = await saved(t)
  const extracted = await run('inspect', path, '--extract', 'gpu', '--to', file('data'))
  t.is(extracted.status, 0, extracted.stderr)
  t.deepEqual(await readFile(file('data')), await joined(dataOf(path, 'gpu')))
  const cut = (await readFile(path)).subarray(0, -100)
  await writeFile(file('cut'), cut)
  const partly = await run('inspect', file('cut'), '--extract', 'gpu', '--to', file('partly'))
  t.is(partly.status, 1)
  t.true((await readdir(file('.'))).includes('partly.partial'))
  t.false((await readdir(file('.'))).includes('partly'))
  t.deepEqual(await run('inspect', '--diff', path, path), { status: 0, signal: null, stdout: 'the same\n', stderr: '' })
  const { path: other } = await saved(t, 'gpu=model:size=300KiB,seed=4')
  const differ = await run('inspect', '--diff', path, other)
  t.is(differ.status, 1)
  t.regex(differ.stdout, /^gpu: other bytes \(frame 0: \d+ bytes from 0 at byte \d+; \d+ bytes from 0 at byte \d+\)$/m)
  t.like(lastJson(await run('inspect', '--diff', path, other, '--json')), { ok: false })
})

test('files of QEMU, as a reader that knows nothing of ours reads them', async (t) => {
  const reader = pathToFileURL(`${root}testbed/guest/qemu-stream.mjs`).href
  const { dataOf: read } = (await import(reader)) as { dataOf: (bytes: Buffer) => Buffer }
  const folder = `${root}testbed/vmm/samples/`
  const samples = (await readdir(folder)).filter((name) => name.endsWith('.gz'))
  t.true(samples.length >= 3)
  for (const name of samples) {
    const bytes = gunzipSync(await readFile(folder + name))
    const pieces = () =>
      (async function* () {
        for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000)
      })()
    const outline = await inspect(pieces()).outline()
    t.like(outline, { format: 'qemu', ending: 'end', problems: [] }, name)
    t.is(outline.damage, undefined, name)
    const device = outline.objects.find(({ kind }) => kind === 'device')
    t.like(device, { complete: true, recognised: { family: 'model' }, config: { space: 256 } }, name)
    t.deepEqual(await joined(dataOf(pieces(), device?.id as string)), read(bytes), name)
    const { status, stdout } = await piped(bytes, '--verify')
    t.is(status, 0, stdout)
    t.true(stdout.startsWith('a file of QEMU, '), stdout)
  }
})

test('what is no migration, and what inspect cannot do', async (t) => {
  const file = await temporary(t)
  await writeFile(file('empty'), '')
  await writeFile(file('text'), 'a text file\n'.repeat(1000))
  for (const name of ['empty', 'text']) {
    const { status, stdout } = await run('inspect', file(name))
    t.is(status, 1)
    t.true(stdout.includes('no migration that is known here'), stdout)
  }
  for (const [args, code, says] of [
    [[file('.')], 1, 'cannot be read'],
    [[file('absent')], 1, 'cannot be read'],
    [[], 2, 'takes one file'],
    [[file('empty'), file('text')], 2, 'takes one file'],
    [['--diff', file('text')], 2, 'takes two files'],
    [['--diff', '-', '-'], 2, 'only one of two files'],
    [[file('text'), '--extract', 'gpu'], 2, 'needs --to FILE'],
    [[file('text'), '--to', file('x')], 2, 'goes with --extract'],
    [[file('text'), '--frames', '--diff'], 2, 'one of --frames, --diff'],
  ] as const) {
    const { status, stderr } = await run('inspect', ...args)
    t.is(status, code, stderr)
    t.true(stderr.includes(says), stderr)
  }
})
