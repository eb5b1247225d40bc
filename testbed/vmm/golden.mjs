// Golden traces: what each QEMU asked of a device in each case, and in which order, kept beside and compared in every run.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setup } from '../../scripts/setup.mjs'
import { root, testbed } from '../cache.mjs'

const folder = join(testbed, 'vmm/golden')

/** What migrates; the rest of what QEMU asks of a device is about its being there. */
const calls = [
  ...['set-state', 'state', 'reset', 'read', 'write', 'close', 'pre-copy-info', 'data-size'],
  ...['tracker-start', 'tracker-report', 'tracker-stop', 'dirty-start', 'dirty-bitmap', 'dirty-stop'],
  ...['read-device-state', 'write-device-state', 'read-pending-bytes', 'read-data-offset', 'read-data-size'],
  ...['write-data-size', 'read-window', 'write-window'],
]

/** What a pass of pre-copy may ask or not, before it looks for data. Of the container it may be asked in stop-copy too. */
const passing = ['tracker-report', 'data-size']

/** The answers that depend on how fast a device changes. */
const estimate = / -> ((\w+=)?\d+B ?|ENOMSG|reinit)+/

/**
 * What differs from run to run is left out: how often QEMU went round in pre-copy, since that depends on the machine, and what
 * it found there. Of each stay in pre-copy what is asked there at all is left, each question once, in the order in which they
 * first came.
 */
const steady = (text) => {
  const seen = new Map()
  const lines = text.split('\n').map((line) => line.trim().replace(/ x\d+$/, ''))
  const kept = lines.flatMap((line) => {
    const [device, state, call] = line.split(/\s+/)
    if (line === '' || (call === 'dirty-bitmap' && state !== 'running')) return []
    if (state !== 'pre-copy') seen.delete(device)
    const estimates = ['data-size', 'pre-copy-info'].includes(call)
    if (state !== 'pre-copy') return [estimates ? line.replace(estimate, '') : line]
    const asked = line.replace(estimate, '').replace(/\d+B/g, 'B')
    const before = seen.get(device) ?? new Set()
    if (passing.includes(call) || before.has(asked)) return []
    seen.set(device, before.add(asked))
    return [asked.replaceAll(' B', ' 1B')]
  })
  return kept.join('\n')
}

/** The part of a trace that counts, as the library compares it: loops are written once, amounts are left out. */
const shape = async (text) => {
  setup(['packages', 'native', 'typescript'])
  const { diffTraces } = await import(pathToFileURL(join(root, 'ts/dist/index.js')))
  const own = steady(text)
  const lines = await diffTraces(own, own, { only: calls })
  return lines.map(({ line }) => `${line}\n`).join('')
}

/**
 * A machine's trace is the one that is kept.
 *
 * @param {import('./bed.mjs').Bed} bed
 * @param {import('./vm.mjs').Vm} vm
 */
export const assertGolden = async (bed, vm) => {
  const name = `${bed.name}.${bed.generation}.${vm.name}.trace`
  const path = join(folder, name)
  const found = await shape(vm.trace.text)
  if (bed.records) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(
      path,
      `# What QEMU ${bed.generation} asks of its devices, ${vm.name} of the case ${bed.name}\n${found}`,
    )
  }
  assert.ok(existsSync(path), `${name} was never recorded: run the case with --record`)
  const kept = readFileSync(path, 'utf8').split('\n').slice(1).join('\n')
  assert.equal(found, kept, `the order of calls is another than in ${name}`)
}
