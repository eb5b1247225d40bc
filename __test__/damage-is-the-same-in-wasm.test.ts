// What is said of damaged files does not depend on whether the native addon or the WASM looks into them.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import test from 'ava'
import { run } from './support/cli.js'
import { temporary } from './support/temporary.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The setup has said why it is not there, where it could not be had. */
const wasm = existsSync(`${root}ts/native/wasm/package.json`) ? test : test.skip

/** Flips spread over a file; one sum for each of what is said of it: of its parts and of its outline. */
const program = `
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { diagnostics, inspect, toJson } from 'vfio-migration'
const [wanted, count, ...paths] = process.argv.slice(1)
if (diagnostics().form !== wanted) throw new Error('this is not ' + wanted)
const all = []
for (const path of paths) {
  const file = readFileSync(path)
  const bytes = path.endsWith('.gz') ? gunzipSync(file) : file
  const sums = []
  for (let flip = 0; flip < Number(count); flip += 1) {
    // What stands around data is at the beginning and at the end of most files.
    const far = Math.floor((flip * bytes.length) / Number(count))
    const at = [flip % bytes.length, far, bytes.length - 1 - (flip % bytes.length)][flip % 3]
    const damaged = Buffer.from(bytes)
    damaged[at] ^= (flip % 255) + 1
    const source = (async function* () {
      for (let from = 0; from < damaged.length; from += 30000) yield damaged.subarray(from, from + 30000)
    })()
    const inspection = inspect(source)
    const hash = createHash('sha256')
    let parts = 0
    for await (const part of inspection) {
      parts += 1
      hash.update(toJson(part))
    }
    const outline = await inspection.outline()
    hash.update(toJson(outline))
    sums.push([parts, outline.damage ? Number(outline.damage.at) : -1, hash.digest('hex')])
  }
  all.push(sums)
}
console.log(JSON.stringify(all))`

wasm('what is said of a file with a byte flipped', async (t) => {
  const file = await temporary(t)
  const path = file('state')
  const { status, stderr } = await run('save', 'gpu=model:size=64KiB,pre-copy', '--to', path, '--quiet')
  t.is(status, 0, stderr)
  const paths = [path]
  for (const folder of [
    'testbed/vmm/samples/',
    'crates/protocol/tests/inspect_qemu/samples/',
    'fuzz/corpus/inspect/',
  ]) {
    const names = (await readdir(root + folder)).filter((name) => !name.endsWith('.md') && !name.startsWith('mapped'))
    paths.push(...names.map((name) => root + folder + name))
  }
  for (const one of paths) t.true((await bytesOf(one)).length > 100, one)
  const count = 150
  const look = async (form: 'native' | 'wasm') => {
    const env = { ...process.env, ...(form === 'wasm' ? { VFIO_MIGRATION_FORCE_WASM: '1' } : {}) }
    const words = ['--input-type=module', '-e', program, '--', form, String(count), ...paths]
    const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: root, env, maxBuffer: 1 << 28 })
    return JSON.parse(stdout) as [parts: number, at: number, sum: string][][]
  }
  const [native, other] = await Promise.all([look('native'), look('wasm')])
  for (const [place, one] of paths.entries()) {
    t.deepEqual(other[place], native[place], one)
    const damaged = native[place]?.filter(([, at]) => at >= 0).length ?? 0
    // A stream of ours has no byte whose damage does not show.
    if (place === 0) t.is(damaged, count)
    else t.true(damaged > 0, one)
  }
})

const bytesOf = async (path: string) => {
  const bytes = await readFile(path)
  return path.endsWith('.gz') ? gunzipSync(bytes) : bytes
}
