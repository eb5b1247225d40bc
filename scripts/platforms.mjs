// `npm run build:platforms`: builds the package of every platform that this machine can build, tries it, and prints what
// came of it. `node scripts/platforms.mjs NAME...` builds only those, `--list` says which there are. A platform whose tools
// cannot be had is skipped, with the reason, unless `--all` says that all are needed, as for a release; one that does not
// build or is not what was promised is a failure.
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Missing } from '../testbed/cache.mjs'
import { build, promised } from './packages/build.mjs'
import { byVersion } from './packages/elf.mjs'
import { layMain, layPlatform, layWasm, npm } from './packages/layout.mjs'
import { filesOf, glibcFloor, targets, wasmPackage } from './packages/targets.mjs'
import { tried } from './packages/trial.mjs'
import { setup } from './setup.mjs'
import { version } from './version.mjs'

const wasm = 'wasm32-wasi'
const names = [...targets.map(({ name }) => name), wasm]

const size = (bytes) => `${(bytes / (1 << 20)).toFixed(2)} MiB`

/** Builds one platform; what the table says of it. */
const native = (target) => {
  const built = mkdtempSync(join(tmpdir(), 'vfio-migration-build-'))
  try {
    build(target, built)
    const place = layPlatform(target, built, npm)
    const files = filesOf(target).map((file) => join(place, file))
    const lowest = files
      .map((file) => promised(target, file).lowest ?? '0')
      .sort(byVersion)
      .at(-1)
    return {
      size: size(statSync(files[0]).size),
      glibc: target.libc === 'glibc' ? `${lowest} (promised: ${glibcFloor})` : '-',
      tried: triedOrNot(() => tried(target, files[0], version())),
    }
  } finally {
    rmSync(built, { recursive: true, force: true })
  }
}

const inWasm = () => {
  setup(['wasm'])
  const place = layWasm(npm)
  if (place === undefined) throw new Missing("Rust's standard library for wasm32-wasip1-threads cannot be had")
  const file = join(place, 'vfio-migration.wasm32-wasi.wasm')
  return { size: size(statSync(file).size), glibc: '-', tried: 'by npm run test:packages' }
}

const triedOrNot = (trial) => {
  try {
    return trial()
  } catch (error) {
    if (error instanceof Missing) return `not tried: ${error.message}`
    throw error
  }
}

const row = (name) => {
  console.error(`platforms: ${name}`)
  try {
    const target = targets.find((one) => one.name === name)
    return { target: name, came: 'built', ...(target ? native(target) : inWasm()) }
  } catch (error) {
    const came = error instanceof Missing ? 'skipped' : 'failed'
    return { target: name, came, size: '', glibc: '', tried: error.message.split('\n')[0] }
  }
}

const print = (rows) => {
  const columns = { target: 'target', came: '', size: 'size', glibc: 'lowest glibc', tried: 'tried how, or why not' }
  const width = (key) => Math.max(...[columns, ...rows].map((one) => one[key].length))
  for (const one of [columns, ...rows]) {
    const cells = Object.keys(columns).map((key) => one[key].padEnd(width(key)))
    console.log(cells.join('  ').trimEnd())
  }
}

const words = process.argv.slice(2)
const wanted = words.filter((word) => !word.startsWith('--'))
const unknown = words.find((word) => !['--list', '--all', ...names].includes(word))
if (unknown !== undefined) {
  console.error(`platforms: there is no '${unknown}': there are ${names.join(', ')}, --all and --list`)
  process.exitCode = 2
} else if (words.includes('--list')) {
  for (const name of names) console.log(name)
} else {
  setup(['packages'])
  mkdirSync(npm, { recursive: true })
  const rows = (wanted.length > 0 ? wanted : names).map(row)
  setup(['page', 'typescript'])
  layMain(npm, { wasm: existsSync(join(npm, wasmPackage)) })
  print(rows)
  console.log(`packages are in ${npm}`)
  const bad = words.includes('--all') ? ['failed', 'skipped'] : ['failed']
  if (rows.some(({ came }) => bad.includes(came))) process.exitCode = 1
}
