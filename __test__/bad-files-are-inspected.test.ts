// Whatever a file is, looking into it ends with something true: from TypeScript and from the command line, the same.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, createWriteStream, openSync } from 'node:fs'
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { compareFiles, dataOf, inspect, isVfioError, type Outline } from 'vfio-migration'
import { lastJson, main, Run, run } from './support/cli.js'
import * as files from './support/migration-files.js'
import { runWithPeak } from './support/peak.js'
import { temporary } from './support/temporary.js'

const { Stream, frames, u8, u16, u32, u64 } = files

/** Looks into a file in both ways; what was found, which is the same. */
const both = async (t: ExecutionContext, bytes: Uint8Array) => {
  const file = await temporary(t)
  await writeFile(file('file'), bytes)
  const [outline, ran] = [
    await inspect(file('file')).outline(),
    await run('inspect', file('file'), '--json', '--verify'),
  ]
  const shown = lastJson(ran) as { ok: boolean; outline: { damage?: { at: number }; problems: string[]; size: number } }
  t.is(shown.outline.size, bytes.length)
  t.is(shown.outline.damage?.at, outline.damage === undefined ? undefined : Number(outline.damage.at))
  t.deepEqual(shown.outline.problems, [...outline.problems])
  const sound = outline.damage === undefined && outline.problems.length === 0
  t.deepEqual([ran.status, shown.ok], [sound ? 0 : 1, sound], ran.stderr)
  return outline
}

const said = ({ damage }: Outline) => damage && `${damage.at}: expected ${damage.expected}, found ${damage.found}`

/** A sound stream of ours. */
const sound = () => files.joined(files.streamOfZeros(1))

test('an empty file, and a text', async (t) => {
  const known = '0: expected the first bytes of a format that is known here, found '
  t.is(said(await both(t, Buffer.alloc(0))), `${known}an empty file`)
  t.is(said(await both(t, Buffer.from('Dear reader,\n'.repeat(9999)))), `${known}"Dear reader,\\nDea"`)
})

test('a directory, and what cannot be read', async (t) => {
  const file = await temporary(t)
  await mkdir(file('folder'))
  // A file that opens, and fails when its first byte is read.
  for (const path of [file('folder'), '/proc/self/mem', file('absent')]) {
    const error = await t.throwsAsync(inspect(path).outline())
    t.true(isVfioError(error, 'ERR_VFIO_TRANSPORT'))
    t.true(error?.message.startsWith(`'${path}' cannot be read: `), error?.message)
    for (const more of [[], ['--frames'], ['--extract', 'gpu', '--to', file('data')], ['--diff', path]]) {
      const { status, stderr } = await run('inspect', path, ...more)
      t.is(status, 1)
      t.true(stderr.includes(`'${path}' cannot be read: `), stderr)
    }
  }
})

test('streams that are cut', async (t) => {
  const whole = sound()
  for (const [length, due] of [
    [40, 'the preamble'],
    [80, 'the table of objects'],
    [whole.length - 150, 'the header of a frame'],
    [1000, 'the payload of a frame'],
    [whole.length - 88, 'the frame "end"'],
  ] as const) {
    t.is(said(await both(t, whole.subarray(0, length))), `${length}: expected ${due}, found the end of the file`)
  }
  const qemu = files.qemuWithDevice('{}')
  for (const length of [10, 60, 100, 150, qemu.length - 1]) {
    const { damage } = await both(t, qemu.subarray(0, length))
    t.deepEqual([damage?.at, damage?.found], [BigInt(length), 'the end of the file'])
  }
})

test('streams without a device', async (t) => {
  const memory = files.streamWithoutDevices()
  const outline = await both(t, memory)
  t.deepEqual(
    outline.objects.map(({ id, kind }) => `${kind} ${id}`),
    ['memory ram'],
  )
  const file = await temporary(t)
  await writeFile(file('state'), memory)
  const { status, stderr } = await run('inspect', file('state'), '--extract', 'gpu', '--to', file('data'))
  t.is(status, 2)
  t.true(stderr.includes("no device 'gpu': it has none"), stderr)
  // Our streams have one object at least; QEMU's need not.
  const empty = said(await both(t, new Stream([]).head))
  t.is(empty, '0: expected the length of the table of objects to be enough for one object, found 0x8')
  const none = said(await both(t, new Stream(['gpu'], { count: 0 }).head))
  t.regex(none ?? '', /^64: expected the number of objects to be .*, found 0x0$/)
  t.is(said(await both(t, files.joined([files.qemuHead, files.qemuEnd('{}')]))), undefined)
})

test('descriptions that lie', async (t) => {
  const lie = async (description: string) => {
    const outline = await both(t, files.qemuWithDevice(description))
    t.is(said(outline), undefined)
    t.like(outline.objects[0], { bytes: 9n, complete: true })
    return outline.problems.join('; ')
  }
  const devices = (...all: object[]) => JSON.stringify({ devices: all })
  t.is(await lie(devices({ name: 'timer', instance_id: 0, size: 40 })), '')
  t.is(
    await lie(devices({ name: 'timer', size: 41 }, { name: 'ghost' })),
    'the description says that "timer" has 41 bytes, and it has 40; the description names "ghost", which is not there',
  )
  t.regex(await lie(devices({ name: 'timer', instance_id: 7 })), /names "timer", which is not there/)
  for (const wrong of [
    '',
    'not JSON',
    '{"devices":[{"name":7}]}',
    devices({ name: 'timer', size: -1 }),
    '{"devices":[{"name":"timer","size":1e99}]}',
    '['.repeat(1 << 20),
    '{"devices":['.repeat(1 << 16),
  ]) {
    t.regex(await lie(wrong), /^the description of the sections cannot be read: /, wrong.slice(0, 40))
  }
})

test('lengths that would exhaust memory', async (t) => {
  const file = await temporary(t)
  await writeFile(file('small'), sound())
  const { peak: usual } = await runWithPeak('inspect', file('small'))
  const stream = new Stream(['gpu'])
  const section = [files.qemuHead, files.section(1, 9, files.vfio)]
  const ram = [files.qemuHead, files.section(1, 2, 'ram')]
  const packet = [u32(0x11223344), u32(1), Buffer.alloc(16), u8(0), Buffer.alloc(39), u32(0x11223344), u32(1)]
  const most = 0xffffffffffffffffn
  const lies: Record<string, files.Piece[]> = {
    'a table': [new Stream(['gpu'], { tableLength: 0xffffffff }).head],
    objects: [new Stream(['gpu'], { count: 0xffffffff }).head],
    'a frame': [stream.head, stream.header(frames.data, 0, 0, 0xffffffff, 0)],
    data: [...section, files.tags.data, u64(most)],
    'a description': [files.qemuHead, files.qemuEnd(), u8(6), u32(0xffffffff), 100],
    'a machine': [files.qemuHead.subarray(0, 9), u32(0xffffffff)],
    capabilities: [files.qemuHead, u8(5), files.name('configuration/capabilities'), u32(1), u32(0xffffffff)],
    'a block of memory': [...ram, u64(most - 0xffbn), files.name('pc.ram'), u64(most)],
    'a mapped block': [
      ...[files.qemuHead, u8(5), files.name('configuration/capabilities'), u32(1), u32(1), files.name('mapped-ram')],
      ...[files.section(1, 2, 'ram'), u64(most - 0xffbn), files.name('pc.ram'), u64(most - 0xfffn)],
      ...[u32(1), u64(4096), u64(133), u64(1n << 63n)],
    ],
    'a compressed page': [
      ...ram,
      u64(4096 + 4),
      files.name('a'),
      u64(4096),
      u64(0x100),
      files.name('a'),
      u32(0xffffffff),
    ],
    'pages of a packet': [...packet, u32(0), u32(0xffffffff), u32(0xffffffff), u32(0xffffffff), u64(0), u32(0)],
    'data of a packet': [
      ...[...packet, u32(0x40), Buffer.from('d'), Buffer.alloc(255), u32(0), u32(0xffffffff), u32(0), u32(0), u32(0)],
    ],
    'a config of a packet': [
      ...[...packet, u32(0x40), Buffer.from('d'), Buffer.alloc(255), u32(0), u32(0xffffffff), u32(0), u32(0), u32(1)],
    ],
    'a command': [files.qemuHead, u8(8), u16(7), u16(0xffff), u32(0xffffffff)],
    "libvirt's description": [Buffer.from('LibvirtQemudSave'), Buffer.from([2, 0, 0, 0]), Buffer.alloc(4, 255), 68],
  }
  for (const [what, pieces] of Object.entries(lies)) {
    const bytes = files.joined(pieces)
    const { damage } = await both(t, bytes)
    t.truthy(damage, what)
    await writeFile(file('lie'), bytes)
    const { peak, status } = await runWithPeak('inspect', file('lie'), '--verify')
    t.is(status, 1, what)
    t.true(peak - usual < 64 << 20, `${what}: ${peak} bytes, and ${usual} for a sound one`)
  }
})

test('a file that shrinks while it is read', async (t) => {
  const file = await temporary(t)
  await files.write(file('state'), files.streamOfZeros(64))
  const inspection = inspect(file('state'))
  let parts = 0
  for await (const _ of inspection) {
    parts += 1
    if (parts === 3) await truncate(file('state'), 40.5 * 2 ** 20)
  }
  const outline = await inspection.outline()
  t.is(said(outline), `${40.5 * 2 ** 20}: expected the payload of a frame, found the end of the file`)
  t.is(outline.size, BigInt(40.5 * 2 ** 20))
})

test('a pipe that ends', async (t) => {
  const file = await temporary(t)
  await promisify(execFile)('mkfifo', [file('pipe')])
  const part = sound().subarray(0, 5000)
  const inTypeScript = inspect(file('pipe')).outline()
  createWriteStream(file('pipe')).end(part)
  t.is(said(await inTypeScript), '5000: expected the payload of a frame, found the end of the file')
  const command = new Run(['inspect', file('pipe'), '--verify'])
  createWriteStream(file('pipe')).end(part)
  const { status, stdout } = await command.ended
  t.is(status, 1)
  t.true(stdout.includes('damaged at byte 5000: expected the payload of a frame, found the end of the file'), stdout)
})

test('whoever looks at a pipe and has seen enough does not wait for its other end', async (t) => {
  const file = await temporary(t)
  await promisify(execFile)('mkfifo', [file('pipe')])
  const writer = createWriteStream(file('pipe'))
  writer.write(sound().subarray(0, 5000))
  for await (const { type } of inspect(file('pipe'))) {
    t.is(type, 'preamble')
    break
  }
  writer.on('error', () => {}).destroy()
})

test('standard input that is closed, or no file', async (t) => {
  const closed = spawn('sh', ['-c', 'exec "$@" <&-', 'sh', process.execPath, main, 'inspect', '-'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let stdout = ''
  closed.stdout.on('data', (text: Buffer) => {
    stdout += text
  })
  const [status] = await once(closed, 'close')
  t.is(status, 1)
  t.true(stdout.includes('found an empty file'), stdout)
  const folder = await new Run(['inspect', '-'], { stdin: openSync('.', 'r') }).ended
  t.is(folder.status, 1)
  t.true(folder.stderr.includes('standard input cannot be read: '), folder.stderr)
})

test('a source in TypeScript that fails, or gives something else than bytes', async (t) => {
  const failing = (async function* () {
    yield sound().subarray(0, 100)
    throw new Error('the line is dead')
  })()
  t.is((await t.throwsAsync(inspect(failing).outline()))?.message, 'the line is dead')
  const texts = (async function* () {
    yield 'a text' as unknown as Uint8Array
  })()
  t.true(isVfioError(await t.throwsAsync(inspect(texts).outline()), 'ERR_VFIO_USAGE'))
})

test('whoever reads no more of a listing stops it, and it ends all the same', async (t) => {
  const file = await temporary(t)
  await files.write(file('state'), files.streamOfZeros(4000))
  const child = spawn(process.execPath, [main, 'inspect', file('state'), '--frames'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout.once('data', () => child.stdout.destroy())
  let stderr = ''
  child.stderr.on('data', (text: Buffer) => {
    stderr += text
  })
  const [status] = await once(child, 'close')
  t.deepEqual([status, stderr], [0, ''])
})

test('two files, of which one is damaged, cut, empty, or of another kind', async (t) => {
  const file = await temporary(t)
  const whole = files.joined(files.streamOfZeros(3))
  await writeFile(file('whole'), whole)
  await writeFile(file('same'), whole)
  await writeFile(file('cut'), whole.subarray(0, 2.5 * 2 ** 20))
  const damaged = Buffer.from(whole)
  damaged[2 ** 20 + 500] = 1
  await writeFile(file('damaged'), damaged)
  await writeFile(file('empty'), '')
  await writeFile(file('qemu'), files.qemuWithDevice('{}'))
  const whats = async (one: string, other: string) => {
    const differences = await compareFiles(file(one), createReadStream(file(other)))
    const ran = await run('inspect', '--diff', file(one), file(other), '--json')
    const shown = lastJson(ran) as { ok: boolean; differences: { what: string }[] }
    t.deepEqual([ran.status, shown.ok], differences.length > 0 ? [1, false] : [0, true])
    const all = differences.map(({ of, what }) => `${of ?? 'file'}: ${what}`)
    t.deepEqual(
      shown.differences.map(({ what }) => what),
      differences.map(({ what }) => what),
    )
    return all
  }
  t.deepEqual(await whats('whole', 'same'), [])
  t.deepEqual(await whats('cut', 'cut'), [])
  const cut = await whats('whole', 'cut')
  t.is(cut[0], 'file: end: stopped in the first file, none in the second')
  t.regex(cut[1] ?? '', /^file: damage: none in the first file, \{"at":2621440,"expected":"the payload of a frame"/)
  t.is(cut.at(-1), 'gpu: the first file has more frames')
  t.true((await whats('whole', 'damaged')).includes('gpu: the first file has more frames'))
  t.is((await whats('whole', 'empty'))[0], 'file: format: stream in the first file, unknown in the second')
  const kinds = await whats('whole', 'qemu')
  t.is(kinds[0], 'file: format: stream in the first file, qemu in the second')
  t.true(
    kinds.includes('gpu: only the first file has it') && kinds.includes(`${files.vfio}: only the second file has it`),
  )
})

test('the data of a device in a file that is damaged keep their other name', async (t) => {
  const file = await temporary(t)
  const damaged = sound()
  damaged[300_000] = 1
  await writeFile(file('state'), damaged)
  await t.throwsAsync(
    async () => {
      for await (const _ of dataOf(file('state'), 'gpu'));
    },
    { message: /damaged at byte \d+/ },
  )
  const { status, stderr } = await run('inspect', file('state'), '--extract', 'gpu', '--to', file('data'))
  t.is(status, 1)
  t.regex(stderr, /damaged at byte \d+/)
  await t.throwsAsync(readFile(file('data')), { code: 'ENOENT' })
  t.true((await readFile(file('data.partial'))).length > 0)
})
