// Brings a checkout to where its commands can run: packages, the native addon, the compiled TypeScript. What is up to date
// is left alone, so that a second run neither compiles nor installs anything. Needs nothing but Node, Rust and a C compiler.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

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
    inputs: [
      'Cargo.toml',
      'Cargo.lock',
      'package.json',
      ...['protocol', 'model', 'device', 'engine', 'node'].map((name) => `crates/${name}`),
    ],
    outputs: ['ts/native'],
    run: [
      [
        'npx',
        '--no-install',
        'napi',
        'build',
        '--platform',
        '--release',
        '--manifest-path',
        'crates/node/Cargo.toml',
        '--output-dir',
        'ts/native',
        '--no-js',
        '--dts',
        '../binding.ts',
        '--no-const-enum',
      ],
    ],
  },
  typescript: {
    says: 'compiling TypeScript',
    inputs: ['tsconfig.json', 'ts'],
    outputs: ['ts/dist/index.js', 'ts/dist/cli/main.js'],
    run: [['npx', '--no-install', 'tsc', '-p', 'tsconfig.json']],
  },
  tests: {
    says: 'compiling the tests',
    inputs: ['tsconfig.json', 'tsconfig.test.json', 'ts', '__test__'],
    outputs: ['__test__/build'],
    run: [['npx', '--no-install', 'tsc', '-p', 'tsconfig.test.json']],
  },
}

const skipped = new Set(['node_modules', 'dist', 'native', 'build', 'target'])

/** Every file below a path, with what tells a changed one. */
const fingerprint = (paths) => {
  const hash = createHash('sha256')
  const visit = (path) => {
    const stat = statSync(join(root, path), { throwIfNoEntry: false })
    if (stat?.isDirectory()) {
      for (const name of readdirSync(join(root, path)).sort()) if (!skipped.has(name)) visit(`${path}/${name}`)
    } else if (stat) hash.update(`${path}\0${stat.size}\0${stat.mtimeMs}\n`)
  }
  for (const path of paths) visit(path)
  return hash.digest('hex')
}

const run = ([command, ...args]) => {
  // What the tools say is for people: standard output belongs to the command that was asked for.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (status === 0) return
  console.error(`setup: ${[command, ...args].join(' ')} ${error ? `could not be run: ${error.message}` : 'failed'}`)
  process.exit(1)
}

/** Does the steps that are due. */
export const setup = (names, { again = false } = {}) => {
  for (const name of names) {
    const { says, inputs, outputs, run: commands } = steps[name]
    const stamp = join(root, 'node_modules', '.vfio-migration', name)
    const before = existsSync(stamp) ? readFileSync(stamp, 'utf8') : ''
    if (!again && outputs.every((path) => existsSync(join(root, path))) && before === fingerprint(inputs)) continue
    console.error(`setup: ${says}`)
    for (const command of commands) run(command)
    mkdirSync(join(root, 'node_modules', '.vfio-migration'), { recursive: true })
    // After the run: it may write what it reads, such as the addon's types.
    writeFileSync(stamp, fingerprint(inputs))
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  setup(['packages', 'native', 'typescript'], { again: process.argv.includes('--again') })
}
