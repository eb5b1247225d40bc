// Builds the WASM form of the binding as the package that npm users get, into ts/native/wasm, and puts it where an import
// of that package finds it. A machine without Rust's library for the target skips it, and says so.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync } from 'node:zlib'
import { root } from './setup.mjs'
import { mayWait, withoutWaits } from './wasm-waits.mjs'

const target = 'wasm32-wasip1-threads'
const name = 'vfio-migration-wasm32-wasi'
const folder = join(root, 'ts/native/wasm')

/** Of napi's files, those that are used: the loaders, their workers, and the WASM. */
const files = [
  'vfio-migration.wasm32-wasi.wasm',
  'vfio-migration.wasi.cjs',
  'vfio-migration.wasi-browser.js',
  'wasi-worker.mjs',
  'wasi-worker-browser.mjs',
]

const run = (command, ...args) => spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] }).status === 0

/** Whether the compiler has the target's library: rustup gets it where it can. */
const hasTarget = () => run('rustup', 'target', 'add', target)

/** A text with one place replaced, which must be there once: a newer napi may write another one. */
const replaced = (text, old, now) => {
  if (text.split(old).length === 2) return text.replace(old, now)
  console.error(`wasm: napi's files have changed: '${old}' is not there once; look at scripts/wasm.mjs`)
  process.exit(1)
}

/** Node says in every thread that its WASI is experimental; the program is to be heard instead. */
const quiet = (worker) =>
  replaced(
    replaced(worker, "import { WASI } from 'node:wasi'\n", ''),
    'const require = createRequire(import.meta.url)\n',
    `const require = createRequire(import.meta.url)
const { emitWarning } = process
process.emitWarning = () => {}
const { WASI } = require('node:wasi')
process.emitWarning = emitWarning
`,
  )

/** The main thread of a browser must not wait. */
const unwaiting = (loader) =>
  replaced(
    loader,
    'beforeInit({ instance }) {\n      __napiInstance = instance\n',
    `beforeInit({ instance }) {
      __napiInstance = instance
      if (typeof document !== 'undefined') instance.exports.${mayWait}.value = 0
`,
  )

/** Rewrites one of the files. */
const rewrite = (file, change) => {
  const path = join(folder, file)
  const before = readFileSync(path)
  writeFileSync(path, file.endsWith('.wasm') ? change(before) : change(before.toString()))
}

const manifest = () => {
  const { version, license, repository, engines, devDependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  )
  const runtime = ['@emnapi/core', '@emnapi/runtime', '@napi-rs/wasm-runtime']
  return {
    name,
    version,
    description: 'The WASM form of vfio-migration, for browsers and for systems without a native addon',
    license,
    repository,
    engines,
    // Neither os nor cpu: it is for every machine, and for the bundlers on all of them.
    main: 'vfio-migration.wasi.cjs',
    browser: 'vfio-migration.wasi-browser.js',
    exports: {
      '.': { browser: './vfio-migration.wasi-browser.js', default: './vfio-migration.wasi.cjs' },
      './package.json': './package.json',
    },
    files,
    dependencies: Object.fromEntries(runtime.map((one) => [one, devDependencies[one]])),
  }
}

/** Puts the package where the facade and bundlers look for it. */
const link = () => {
  const place = join(root, 'node_modules', name)
  rmSync(place, { recursive: true, force: true })
  symlinkSync('../ts/native/wasm', place, 'dir')
}

const build = () => {
  const made = mkdtempSync(join(tmpdir(), 'vfio-migration-wasm-'))
  try {
    const how = ['--target', target, '--profile', 'wasm', '--platform', '--no-const-enum', '--dts', 'binding.d.ts']
    const where = ['--manifest-path', 'crates/node/Cargo.toml', '--output-dir', made]
    if (!run('npx', '--no-install', 'napi', 'build', ...how, ...where)) process.exit(1)
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    for (const file of files) copyFileSync(join(made, file), join(folder, file))
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
  rewrite('wasi-worker.mjs', quiet)
  rewrite('vfio-migration.wasi-browser.js', unwaiting)
  rewrite(files[0], (module) => withoutWaits(module).module)
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest(), undefined, 2)}\n`)
  link()
}

if (hasTarget()) {
  build()
  const { length } = brotliCompressSync(readFileSync(join(folder, files[0])))
  console.error(`wasm: ${name}: ${Math.ceil(length / 1024)} KiB compressed`)
} else {
  console.error(`skipped: the WASM form: this machine cannot get Rust's library for ${target}`)
}
