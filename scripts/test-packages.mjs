// Packs what would be published, installs it as npm does, and tries it: `node scripts/test-packages.mjs [--all|--built] [WORD...]`.
// Without --all: this machine's platform and the WASM, with the addon that the checkout has. With --all: every package that
// `npm run build:platforms` has built, in several Nodes and on other processors; what cannot be had is skipped, with the
// reason. With --built: the packages in npm/ as they are, on a machine that has built nothing. WORD chooses checks by what
// they say. Ends with one line that counts: `packages: 9 passed, 0 failed, 1 skipped`.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { Missing } from '../testbed/cache.mjs'
import installed from './packages/checks/installed.mjs'
import musl from './packages/checks/musl.mjs'
import published from './packages/checks/published.mjs'
import { Installation } from './packages/installation.mjs'
import { layMain, layPlatform, layWasm, npm } from './packages/layout.mjs'
import { serve } from './packages/registry.mjs'
import { filesOf, mainPackage, packageOf, targets, wasmPackage } from './packages/targets.mjs'
import { root, setup } from './setup.mjs'

/**
 * @typedef {object} Check
 * @property {string} what must be so
 * @property {boolean} [rare] whether it runs only with --all, since it takes long or needs what is built for it
 * @property {(bed: object) => unknown} run throws if it is not so, `Missing` if it cannot be tried here
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { all: { type: 'boolean', default: false }, built: { type: 'boolean', default: false } },
})
const { built } = values
const all = values.all || positionals.length > 0
/** @type {Check[]} */
const checks = [...published, ...installed, ...musl].filter(
  ({ what, rare }) => (all || !rare) && (positionals.length === 0 || positionals.some((word) => what.includes(word))),
)
if (checks.length === 0) {
  console.error(`packages: no check says '${positionals.join("' or '")}'`)
  process.exit(2)
}

setup(built ? ['packages'] : ['packages', 'native', 'preload', 'wasm', 'page', 'typescript'])
const scratch = mkdtempSync(join(tmpdir(), 'vfio-migration-packages-'))

/** Lays all packages that there are here; with --all, those for other platforms as they were built to be published. */
const lay = () => {
  if (built) {
    if (!existsSync(join(npm, mainPackage, 'package.json'))) {
      console.error(`packages: there is nothing in ${npm}: run "npm run build:platforms"`)
      process.exit(1)
    }
    cpSync(npm, scratch, { recursive: true, filter: (path) => !path.endsWith('.tgz') })
    return [mainPackage, wasmPackage, ...targets.map(packageOf)]
      .map((name) => join(scratch, name))
      .filter((folder) => existsSync(join(folder, 'package.json')))
  }
  const native = join(root, 'ts/native')
  const wasm = layWasm(scratch)
  const folders = [layMain(scratch, { wasm: wasm !== undefined }), ...(wasm ? [wasm] : [])]
  for (const target of targets) {
    const forOthers = join(npm, packageOf(target))
    const folder = all && existsSync(forOthers) ? forOthers : native
    if (filesOf(target).every((file) => existsSync(join(folder, file)))) {
      folders.push(layPlatform(target, folder, scratch))
    }
  }
  return folders
}

/** Streams to look into, with what a command line says of them: the checkout's, where there is one. */
const makeStreams = (checkout) => {
  const main = join(checkout, 'ts/dist/cli/main.js')
  const whole = join(scratch, 'whole.vfiomig')
  const cli = (...args) => {
    try {
      return { status: 0, stdout: execFileSync(process.execPath, [main, ...args], { encoding: 'utf8' }) }
    } catch ({ status, stdout }) {
      return { status, stdout }
    }
  }
  cli('save', 'model:size=3MiB,pre-copy', '--to', whole, '--quiet')
  const samples = join(root, 'testbed/vmm/samples')
  const theirs = readdirSync(samples).filter((name) => name.endsWith('.gz'))
  for (const name of theirs) writeFileSync(join(scratch, name), gunzipSync(readFileSync(join(samples, name))))
  return [whole, ...theirs.map((name) => join(scratch, name))].map((file) => {
    const { status, stdout } = cli('inspect', '--verify', '--json', file)
    return { file, status, json: JSON.parse(stdout) }
  })
}

/** What was installed, by how; checks only look at it. */
const installations = new Map()
const folders = lay()
mkdirSync(join(scratch, 'tarballs'))
const registry = await serve(folders, join(scratch, 'tarballs'))
let streams
const bed = {
  all,
  tarballs: registry.tarballs,
  folderOf: (name) => join(scratch, name),
  streams: async () => {
    streams ??= makeStreams(built ? join((await bed.installed()).folder, 'node_modules', mainPackage) : root)
    return streams
  },
  installed: async ({ node, options = [] } = {}) => {
    const how = JSON.stringify([node, options])
    if (!installations.has(how)) {
      const installation = new Installation(node)
      installations.set(how, installation)
      await installation.install(registry.url, [mainPackage], ...options)
    }
    return installations.get(how)
  },
}

const total = { passed: 0, failed: 0, skipped: 0 }
const skips = []
for (const { what, run } of checks) {
  const begun = Date.now()
  try {
    await run(bed)
    total.passed += 1
    console.error(`packages: passed in ${((Date.now() - begun) / 1000).toFixed(1)} s: ${what}`)
  } catch (error) {
    if (error instanceof Missing) {
      total.skipped += 1
      skips.push(`skipped: ${what}: ${error.message.split('\n')[0]}`)
      continue
    }
    total.failed += 1
    console.error(`packages: failed: ${what}`)
    console.error(error.stack ?? error)
  }
}
registry.close()
for (const installation of installations.values()) installation.remove()
for (const [name, { size }] of registry.tarballs) {
  console.error(`packages: ${name}: ${(size / (1 << 20)).toFixed(2)} MiB to download`)
}
rmSync(scratch, { recursive: true, force: true })
for (const line of skips) console.log(line)
console.log(`packages: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed > 0 ? 1 : 0
