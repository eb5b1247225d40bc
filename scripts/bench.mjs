// Speed through Node: `npm run bench -- [--json] [--short]`. Ends with the ratios of medians of rounds, in which every mover
// runs once, in turn: unix, tcp and file are ours (both ends Node processes, native path) over reference B (a raw pump with
// CRC32C at both ends); js is the JavaScript path over the native path, over the same unix socket; inspect is looking into the
// file that was just written over reading it with CRC32C.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root, setup } from './setup.mjs'

const options = new Set(process.argv.slice(2))
const short = options.has('--short')
const [ROUNDS, CHUNK] = [short ? 3 : 9, 1 << 20]
/** Bytes of a run: a file's go to the disk. Through JavaScript the first GiB are slow, since the code is not compiled yet. */
const [SIZE, FILE_SIZE] = short ? [512 << 20, 512 << 20] : [2 ** 33, 2 ** 31]

setup(['packages', 'native', 'typescript', 'benchmark'])
const folder = join(root, 'ts/native/benchmark')
const addon = join(
  folder,
  readdirSync(folder).find((name) => name.endsWith('.node')),
)
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target')
const pump = join(target, 'release/benchmark')
const temporary = mkdtempSync(join(tmpdir(), 'vfio-migration-bench-'))
const { pumpToFile, sumOfFile } = createRequire(import.meta.url)(addon)

/** Runs the end that listens, then the other at the place that it says; the last line of the source. */
const pair = async (start, listens = 'destination') => {
  const said = { source: '', destination: '' }
  const begin = (end, place) => {
    const child = start(end, place)
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said[end] += text
    })
    return child
  }
  const first = begin(listens)
  const gone = once(first, 'close')
  const early = gone.then(([code]) => {
    throw new Error(`a run ended with status ${code} before it said where it listens`)
  })
  const [place] = await Promise.race([once(first.stdout, 'data'), early])
  const second = begin(listens === 'source' ? 'destination' : 'source', place.trim())
  const [[code], [other]] = await Promise.all([once(second, 'close'), gone])
  if (code !== 0 || other !== 0) throw new Error(`a run failed: ${said.source}`)
  return said.source.trim().split('\n').at(-1)
}

const stdio = ['ignore', 'pipe', 'inherit']
const raw = async (carrier) => {
  const start = (end, place) => {
    const words = ['--end', end, 'B', carrier, SIZE, CHUNK, ...(place ? [place] : [])]
    return spawn(pump, words.map(String), { stdio })
  }
  return JSON.parse(await pair(start)).seconds
}
const node = async (path, where) => {
  const start = (end, place = where()) =>
    spawn(process.execPath, [join(root, 'scripts/bench-end.mjs'), end, path, place, String(SIZE)], {
      stdio,
      env: { ...process.env, VFIO_MIGRATION_ADDON: addon },
    })
  return Number(await pair(start, path === 'js' ? 'source' : 'destination'))
}
const written = join(temporary, 'ours')
const alone = (...words) => {
  const { stdout, status } = spawnSync(process.execPath, [join(root, 'scripts/bench-end.mjs'), ...words], {
    env: { ...process.env, VFIO_MIGRATION_ADDON: addon },
    encoding: 'utf8',
    stdio,
  })
  if (status !== 0) throw new Error('a run failed')
  return Number(stdout)
}
const toFile = () => alone('source', 'native', written, String(FILE_SIZE))

let sockets = 0
const socket = () => {
  sockets += 1
  return `unix:${join(temporary, `s${sockets}`)}`
}
const movers = {
  unixB: () => raw('Unix'),
  unix: () => node('native', socket),
  js: () => node('js', socket),
  tcpB: () => raw('Tcp'),
  tcp: () => node('native', () => 'tcp:127.0.0.1:0'),
  fileB: () => pumpToFile(join(temporary, 'reference'), FILE_SIZE, CHUNK),
  file: toFile,
  // Of the file that was written just now.
  fileSum: () => sumOfFile(written, CHUNK),
  inspect: () => alone('inspect', 'native', written),
}
const rounds = []
try {
  // One round to warm up that is not counted.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const seconds = {}
    for (const [name, move] of Object.entries(movers)) seconds[name] = await move()
    if (round > 0) rounds.push(seconds)
    if (!options.has('--json')) console.error(`round ${round} of ${ROUNDS}`)
  }
} finally {
  rmSync(temporary, { recursive: true, force: true })
}

const round3 = (value) => Math.round(value * 1000) / 1000
const sorted = (of) => rounds.map(of).sort((a, b) => a - b)
const median = (of) => {
  const all = sorted(of)
  return (all[(all.length - 1) >> 1] + all[all.length >> 1]) / 2
}
const ratios = {
  unix: (one) => one.unixB / one.unix,
  tcp: (one) => one.tcpB / one.tcp,
  file: (one) => one.fileB / one.file,
  js: (one) => one.unix / one.js,
  inspect: (one) => one.fileSum / one.inspect,
}
const result = {
  ratios: Object.fromEntries(Object.entries(ratios).map(([name, of]) => [name, round3(median(of))])),
  spreads: Object.fromEntries(
    Object.entries(ratios).map(([name, of]) => [name, [round3(sorted(of)[0]), round3(sorted(of).at(-1))]]),
  ),
  mibPerSecond: Object.fromEntries(
    Object.keys(movers).map((name) => {
      const bytes = name.startsWith('file') || name === 'inspect' ? FILE_SIZE : SIZE
      return [name, Math.round(bytes / 2 ** 20 / median((one) => one[name]))]
    }),
  ),
  rounds: ROUNDS,
}
if (!options.has('--json')) {
  for (const [name, ratio] of Object.entries(result.ratios))
    console.log(`${name.padEnd(7)} ${ratio} (from ${result.spreads[name].join(' to ')})`)
}
console.log(JSON.stringify(result))
