// The facade on the WASM form of the binding, in a process of its own, held against the native one.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompressSync, gunzipSync } from 'node:zlib'
import test from 'ava'
import { diagnostics, diffTraces, foldTrace, inspect, type Part, toJson } from 'vfio-migration'
import { simulate } from 'vfio-migration/simulation'
import { lastJson, Run, run } from './support/cli.js'
import { stepOf } from './support/steps.js'
import { temporary } from './support/temporary.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The setup has said why it is not there, where it could not be had. */
const wasm = existsSync(`${root}ts/native/wasm/package.json`) ? test : test.skip

const env = { ...process.env, VFIO_MIGRATION_FORCE_WASM: '1' }

/** Runs a program on WASM; what it prints as JSON. */
const program = async <T>(text: string, ...args: string[]): Promise<T> => {
  const child = promisify(execFile)(process.execPath, ['--input-type=module', '-e', text, '--', ...args], {
    cwd: root,
    env,
    maxBuffer: 1 << 28,
  })
  const { stdout, stderr } = await child
  // Nothing is said that nobody asked for: not that WASI is experimental, not in any thread.
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout) as T
}

test('without being told otherwise, it is the native addon', (t) => {
  t.is(diagnostics().form, 'native')
})

wasm('a simulated migration takes the same course', async (t) => {
  const sound = 'seed=2 devices=stop-copy+p2p+pre-copy,stop-copy+p2p dialects=thread'
  const scenarios = [
    'seed=7',
    `${sound} fault=${stepOf(sound, 'restore', 'set state resuming to stop')}:breaks`,
    'seed=3 way=file dialects=qemu devices=stop-copy+pre-copy pages=0',
    'seed=3 data=9000 pages=0 destination-model=write@2:discard',
  ]
  const courses = await program<object[]>(
    `
    import { diagnostics, toJson } from 'vfio-migration'
    import { simulate } from 'vfio-migration/simulation'
    if (diagnostics().form !== 'wasm') throw new Error('this is not WASM')
    const courses = process.argv.slice(1).map((scenario) => simulate(scenario))
    console.log('[' + courses.map(toJson).join() + ']')
  `,
    ...scenarios,
  )
  for (const [place, scenario] of scenarios.entries()) {
    t.deepEqual(courses[place], JSON.parse(toJson(simulate(scenario))) as object, scenario)
  }
})

wasm('a file has the same parts and the same outline', async (t) => {
  const file = await temporary(t)
  const files: string[] = []
  const keep = async (name: string, bytes: Uint8Array) => {
    await writeFile(file(name), bytes)
    files.push(file(name))
  }
  for (const device of ['model:size=300KiB,pre-copy', 'model:size=300KiB,window=16KiB,protocol=region']) {
    const path = file(`${files.length}.stream`)
    const { status, stderr } = await run('save', `gpu=${device}`, '--to', path, '--quiet', '--experimental-region')
    t.is(status, 0, stderr)
    files.push(path)
    const damaged = await readFile(path)
    damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] as number) ^ 1
    await keep(`${files.length}.damaged`, damaged)
  }
  const hex = await readFile(`${root}crates/protocol/tests/stream_format/golden.hex`, 'utf8')
  for (const [place, one] of hex.split('## ').entries())
    await keep(`${place}.golden`, Buffer.from(one.slice(one.indexOf('\n')).replaceAll(/#.*|\s/g, ''), 'hex'))
  const samples = `${root}testbed/vmm/samples/`
  for (const name of (await readdir(samples)).filter((one) => one.endsWith('.gz')))
    await keep(name, gunzipSync(await readFile(samples + name)))
  for (const folder of ['crates/protocol/tests/inspect_qemu/samples/', 'fuzz/corpus/inspect/'])
    for (const name of (await readdir(root + folder)).filter((one) => !one.endsWith('.md')))
      files.push(root + folder + name)
  t.true(files.length >= 14)

  const looked = async (path: string) => {
    const inspection = inspect(path)
    const parts: Part[] = []
    for await (const part of inspection) parts.push(part)
    return JSON.parse(toJson({ parts, outline: await inspection.outline() })) as object
  }
  const found = await program<object[]>(
    `
    import { diagnostics, inspect, toJson } from 'vfio-migration'
    if (diagnostics().form !== 'wasm') throw new Error('this is not WASM')
    const all = []
    for (const path of process.argv.slice(1)) {
      const inspection = inspect(path)
      const parts = []
      for await (const part of inspection) parts.push(part)
      all.push({ parts, outline: await inspection.outline() })
    }
    console.log(toJson(all))
  `,
    ...files,
  )
  for (const [place, path] of files.entries()) t.deepEqual(found[place], await looked(path), path)
})

/** Moves a device within one process, over two streams. */
const moving = `
  import { diagnostics, isVfioError, openDevice, restore, save } from 'vfio-migration'
  import { GuestMemory, openModel } from 'vfio-migration/model'
  const move = async (settings, memory = {}) => {
    const [from, to] = await Promise.all([openModel(settings, memory.from), openModel(settings, memory.to)])
    await from.model.resumeGuest()
    const saving = await save(from.device, { ...memory.save, pause: () => from.model.pauseGuest() })
    const restoring = await restore(to.device, memory.restore)
    const [there, back] = [new TransformStream(), new TransformStream()]
    const [sent, got] = await Promise.all([
      saving.sendTo({ writable: there.writable, readable: back.readable }),
      restoring.receiveFrom({ writable: back.writable, readable: there.readable }),
    ])
    const same = from.model.stopped.proof === to.model.stopped.proof
    await Promise.all([...sent.devices, ...got.devices].map(({ device }) => device.close()))
    return [sent.outcome, got.outcome, same, to.model.resets]
  }
`

wasm('devices move, several at once and one after another, and nothing is left', async (t) => {
  const { moved, living } = await program<{ moved: unknown[]; living: number }>(`${moving}
    const moved = []
    for (const settings of ['model:size=1MiB,p2p,pre-copy', 'model:size=300KiB']) {
      moved.push(...(await Promise.all([move(settings), move(settings), move(settings)])))
    }
    console.log(JSON.stringify({ moved, living: diagnostics().living }))
  `)
  t.deepEqual(
    moved,
    Array.from({ length: 6 }, () => ['completed', 'completed', true, 0]),
  )
  t.is(living, 0)
})

wasm('a program ends by itself, though a device is open and a session waits', async (t) => {
  const said = await program(`${moving}
    const [device, other] = [await openDevice('model:size=1MiB'), await openDevice('model:size=1MiB')]
    await device.to('stop')
    const session = await save(other)
    console.log(JSON.stringify(diagnostics().living > 0))
  `)
  t.true(said)
})

wasm('what there is no kernel for says so, and what to use instead', async (t) => {
  const told = await program<{ code: string; message: string; remedy: string }[]>(`${moving}
    import { doctor, findDevice, listDevices } from 'vfio-migration'
    const told = []
    const failing = async (call) => {
      try {
        await call()
        told.push({ code: 'none', message: String(call), remedy: '' })
      } catch (error) {
        told.push({ code: error.code, message: error.message, remedy: error.details?.remedy })
      }
    }
    for (const address of ['vfio:0000:65:00.1', 'mdev:6b35c2a8-d5f1-4a0f-9f0c-3c8f3a3c9d11', 'cdev:/dev/vfio/devices/vfio0',
      'fd:unix:/tmp/s', 'pidfd:1:3', 'fd:3']) await failing(() => openDevice(address))
    await failing(() => openDevice({ fd: 0 }))
    for (const call of [listDevices, doctor, () => findDevice('vfio:0000:65:00.1')]) await failing(call)
    for (const place of [{ unix: '/tmp/s' }, { host: 'localhost', port: 1 }, { file: '/tmp/s' }, { fd: 1 }, '-']) {
      await failing(async () => (await save(await openDevice('model:size=1MiB'))).sendTo(place))
    }
    console.log(JSON.stringify(told))
  `)
  t.is(told.length, 15)
  for (const { code, message, remedy } of told) {
    t.is(code, 'ERR_VFIO_PLATFORM', message)
    t.truthy(remedy, message)
  }
})

wasm('traces are folded and compared as natively', async (t) => {
  const folder = `${root}crates/engine/tests/golden/`
  const [one, other] = [
    await readFile(`${folder}save-pre-copy-p2p.trace`, 'utf8'),
    await readFile(`${folder}save-stop-copy.trace`, 'utf8'),
  ]
  const found = await program<object>(`
    import { diffTraces, foldTrace } from 'vfio-migration'
    const [one, other] = ${JSON.stringify([one, other])}
    console.log(JSON.stringify([await foldTrace(one), await diffTraces(one, other)]))
  `)
  t.deepEqual(found, [await foldTrace(one), await diffTraces(one, other)] as object)
})

wasm('the demo runs in one process, and says so where it needs two', async (t) => {
  const { status, stdout, stderr } = await new Run(['demo', '--in-process', '--size', '4MiB', '--json'], { env }).ended
  t.is(status, 0, stderr)
  t.is(stderr, '')
  t.like(lastJson({ stdout }), { identical: true, counterContinued: true, resets: 0 })
  const two = await new Run(['demo', '--size', '4MiB'], { env }).ended
  t.is(two.status, 3)
  t.regex(two.stderr, /^vfio-migration: ERR_VFIO_PLATFORM: .*\(run the demo with --in-process\)\n$/)
})

wasm('another version than the facade is refused, with both versions', async (t) => {
  const { name, version } = JSON.parse(await readFile(`${root}ts/native/wasm/package.json`, 'utf8')) as {
    name: string
    version: string
  }
  const place = await temporary(t)
  // The package as it is installed, with the facade beside it and a WASM that says something else.
  await writeFile(place('package.json'), '{}')
  await cp(`${root}ts/dist`, place('node_modules/vfio-migration/ts/dist'), { recursive: true })
  await cp(`${root}package.json`, place('node_modules/vfio-migration/package.json'))
  await mkdir(place(`node_modules/${name}`))
  await writeFile(
    place(`node_modules/${name}/package.json`),
    JSON.stringify({ name, version: '9.9.9', main: 'it.cjs' }),
  )
  await writeFile(place(`node_modules/${name}/it.cjs`), 'exports.version = () => "9.9.9"')
  await writeFile(
    place('it.mjs'),
    `import { diagnostics } from 'vfio-migration'
    try { diagnostics() } catch ({ code, message, details }) { console.log(JSON.stringify({ code, message, details })) }`,
  )
  const { stdout } = await promisify(execFile)(process.execPath, [place('it.mjs')], { env })
  const { code, message, details } = JSON.parse(stdout) as { code: string; message: string; details: object }
  t.is(code, 'ERR_VFIO_PLATFORM')
  t.like(details, { found: '9.9.9', wanted: version })
  for (const part of [name, '9.9.9', version]) t.true(message.includes(part), message)
})

/** Bytes of the compressed WASM, as a server sends it: what a page may cost its visitors. */
const budget = 900 << 10

wasm('the compressed WASM keeps within its budget', async (t) => {
  const { length } = brotliCompressSync(await readFile(`${root}ts/native/wasm/vfio-migration.wasm32-wasi.wasm`))
  t.log(`${Math.ceil(length / 1024)} KiB of ${budget / 1024} KiB`)
  t.true(length <= budget, `${length} bytes; make it smaller, or say here why it has to cost more`)
})
