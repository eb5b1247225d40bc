// Speed in WASM: how fast bytes in memory are looked into, beside a CRC32C in software in the same WASM, and how that compares
// with the same program natively. `node scripts/bench-wasm.mjs [--json]`; fails below half of the checksum's speed.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './setup.mjs'

const target = 'wasm32-wasip1-threads'
const name = 'inspect-in-memory'
const goal = 0.5

const cargo = (...more) => {
  const words = ['build', '--quiet', '--release', '-p', 'benchmark', '--bin', name, ...more]
  const { status } = spawnSync('cargo', words, { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error(`${name} cannot be built ${more.join(' ')}`)
  return join(
    process.env.CARGO_TARGET_DIR ?? join(root, 'target'),
    ...(more.length > 0 ? [target] : []),
    'release',
    name,
  )
}

const run = (command, ...args) => {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (status !== 0) throw new Error(`${command} failed`)
  return JSON.parse(stdout)
}

/** Runs a program for WASI; it has threads in its target's name, and starts none. */
const wasi = async (file) => {
  const { WASI } = await import('node:wasi')
  const program = new WASI({ version: 'preview1', args: [name] })
  const module = await WebAssembly.compile(readFileSync(file))
  // No less than it asks for, and as much as it may have at most: 1 GiB.
  const memory = new WebAssembly.Memory({ initial: 4096, maximum: 16384, shared: true })
  const none = () => {
    throw new Error('it starts a thread')
  }
  const imports = { ...program.getImportObject(), env: { memory }, wasi: { 'thread-spawn': none } }
  return program.start(await WebAssembly.instantiate(module, imports))
}

if (process.argv[2] === '--wasi') {
  process.exitCode = await wasi(process.argv[3])
} else {
  const native = run(cargo())
  const wasm = run(
    process.execPath,
    '--no-warnings',
    new URL(import.meta.url).pathname,
    '--wasi',
    `${cargo('--target', target)}.wasm`,
  )
  let holds = true
  for (const [kind, line] of Object.entries(wasm)) {
    line.goal = goal
    line.toNative = Math.round((line.fastestMibPerSecond / native[kind].fastestMibPerSecond) * 1000) / 1000
    holds &&= line.ratio >= goal
    if (process.argv[2] !== '--json') console.log(`${kind.padEnd(11)} ${JSON.stringify(line)}`)
  }
  console.log(JSON.stringify({ wasm, native, holds }))
  process.exitCode = holds ? 0 : 1
}
