// The facade on the WASM form of the binding, in a process of its own, held against the native one.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import test from 'ava'
import { diagnostics, inspect, type Part, toJson } from 'vfio-migration'
import { run } from './support/cli.js'
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
