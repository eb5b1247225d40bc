// Brings a checkout to where its commands can run: packages, the native addon, the compiled TypeScript. What is up to date
// is left alone, so that a second run neither compiles nor installs anything. Needs nothing but Node, Rust and a C compiler.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** What the addon is made of. */
const rust = ['protocol', 'model', 'simulation', 'uapi', 'device', 'engine', 'node'].map((name) => `crates/${name}`)

/** Builds the addon into a folder, and its types into a file beside. */
const napi = (folder, types, ...more) => {
  const build = ['npx', '--no-install', 'napi', 'build', '--platform', '--release', '--no-js', '--no-const-enum']
  return [...build, '--manifest-path', 'crates/node/Cargo.toml', '--output-dir', folder, '--dts', types, ...more]
}

/** A step of the setup: done again when one of its inputs is another than last time, or an output is missing. */
const steps = {
  packages: {
    says: 'installing packages',
    inputs: ['package-lock.json'],
    outputs: ['node_modules/.bin/tsc', 'node_modules/.bin/napi'],
    run: [['npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error']],
  },
  native: {
    says: 'building the native addon (a few minutes the first time)',
    inputs: ['Cargo.toml', 'Cargo.lock', 'package.json', ...rust],
    outputs: ['ts/native/*.node'],
    run: [napi('ts/native', '../binding.ts')],
  },
  preload: {
    says: 'building the library to preload',
    inputs: ['Cargo.toml', 'Cargo.lock', ...rust, 'crates/preload', 'scripts/preload.mjs', 'scripts/cargo-library.mjs'],
    outputs: ['ts/native/libvfio_migration_preload.so'],
    run: [['node', 'scripts/preload.mjs']],
  },
  libc: {
    says: 'building the addon that goes through libc',
    inputs: ['Cargo.toml', 'Cargo.lock', ...rust, 'scripts/through-libc.mjs', 'scripts/cargo-library.mjs'],
    outputs: ['ts/native/libc/*.node'],
    run: [['node', 'scripts/through-libc.mjs']],
  },
  wasm: {
    says: 'building the WASM form of the addon (a few minutes the first time)',
    inputs: ['Cargo.toml', 'Cargo.lock', 'package.json', ...rust, 'scripts/wasm.mjs', 'scripts/wasm-waits.mjs'],
    outputs: ['ts/native/wasm/package.json', 'node_modules/vfio-migration-wasm32-wasi/package.json'],
    run: [['node', 'scripts/wasm.mjs']],
  },
  benchmark: {
    says: 'building the benchmark',
    inputs: ['Cargo.toml', 'Cargo.lock', ...rust, 'benchmark'],
    outputs: ['ts/native/benchmark/*.node'],
    run: [
      ['cargo', 'build', '--release', '-p', 'benchmark'],
      // An addon of its own, with the benchmark's device.
      napi('ts/native/benchmark', 'binding.d.ts', '--features', 'benchmark'),
    ],
  },
  typescript: {
    says: 'compiling TypeScript',
    inputs: ['tsconfig.json', 'ts'],
    outputs: ['ts/dist/index.js', 'ts/dist/cli/main.js'],
    run: [['npx', '--no-install', 'tsc', '-p', 'tsconfig.json']],
  },
  page: {
    says: 'building the page',
    inputs: ['package-lock.json', 'scripts/page.mjs', 'tsconfig.page.json', 'ts', 'ts/native/wasm'],
    outputs: ['ts/dist/page/index.html'],
    run: [['node', 'scripts/page.mjs']],
  },
  tests: {
    says: 'compiling the tests',
    inputs: ['tsconfig.json', 'tsconfig.test.json', 'ts', '__test__'],
    outputs: ['__test__/build'],
    run: [['npx', '--no-install', 'tsc', '-p', 'tsconfig.test.json']],
  },
}

/** Outputs that lie among the inputs. */
const skipped = new Set(['ts/dist', 'ts/native', '__test__/build'])

/** Every file below a path, with what tells a changed one. */
const fingerprint = (paths) => {
  const hash = createHash('sha256')
  const visit = (path) => {
    const stat = statSync(join(root, path), { throwIfNoEntry: false })
    if (stat?.isDirectory()) {
      const names = readdirSync(join(root, path)).sort()
      for (const name of names) if (!skipped.has(`${path}/${name}`)) visit(`${path}/${name}`)
    } else if (stat) hash.update(`${path}\0${stat.size}\0${stat.mtimeMs}\n`)
  }
  for (const path of paths) visit(path)
  return hash.digest('hex')
}

/** Whether an output is there; `*` stands for the name of a platform. */
const there = (path) => {
  const [folder, ending] = path.split('/*')
  if (ending === undefined) return existsSync(join(root, path))
  return existsSync(join(root, folder)) && readdirSync(join(root, folder)).some((name) => name.endsWith(ending))
}

const run = ([command, ...args]) => {
  // What the tools say is for people: standard output belongs to the command that was asked for.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (status === 0) return
  console.error(`setup: ${[command, ...args].join(' ')} ${error ? `could not be run: ${error.message}` : 'failed'}`)
  process.exit(1)
}

/** How long something took, in the words that `.ci/run` looks for. */
export const took = (what, begun) => `${what.replace(/ \(.*\)$/, '')} took ${Math.round((Date.now() - begun) / 1000)} s`

/** Does the steps that are due. */
export const setup = (names, { again = false } = {}) => {
  for (const name of names) {
    const { says, inputs, outputs, run: commands } = steps[name]
    const stamp = join(root, 'node_modules', '.vfio-migration', name)
    const before = existsSync(stamp) ? readFileSync(stamp, 'utf8') : ''
    if (!again && outputs.every(there) && before === fingerprint(inputs)) continue
    console.error(`setup: ${says}`)
    const begun = Date.now()
    for (const command of commands) run(command)
    console.error(`setup: ${took(says, begun)}`)
    mkdirSync(join(root, 'node_modules', '.vfio-migration'), { recursive: true })
    // After the run: it may write what it reads, such as the addon's types.
    writeFileSync(stamp, fingerprint(inputs))
  }
}

/** What a checkout needs to run; other steps only by name. */
const usual = ['packages', 'native', 'preload', 'typescript']

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const named = process.argv.slice(2).filter((word) => word !== '--again')
  const unknown = named.find((name) => !Object.hasOwn(steps, name))
  if (unknown !== undefined) {
    console.error(`setup: no step is called ${unknown}: there are ${Object.keys(steps).join(', ')}`)
    process.exit(2)
  }
  setup(named.length > 0 ? named : usual, { again: process.argv.includes('--again') })
}
