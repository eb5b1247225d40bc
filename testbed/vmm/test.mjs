// Runs unmodified QEMUs with software devices:
//   node testbed/vmm/test.mjs [--all] [--verbose] [--record] [--emulator 11.1] [CASE...]
// Without --all or CASE each case that is not rare runs on one QEMU of each protocol; CASE names all cases that begin so. A case
// is in a file of cases/. With --record what a case compares with something recorded is recorded anew. Ends with one line that
// counts: `vmm: 12 passed, 0 failed, 1 skipped`.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Missing, say, testbed } from '../cache.mjs'
import { emulator, emulators } from '../emulators.mjs'
import { Bed } from './bed.mjs'

/**
 * @typedef {object} Case
 * @property {string} what must be so
 * @property {string[]} on which QEMUs
 * @property {boolean} [rare] whether it is much like another, and runs only when it is asked for
 * @property {boolean} [golden] whether what was asked of the devices, and in which order, is kept and compared
 * @property {(bed: Bed) => Promise<void>} run throws if it is not so
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    all: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    emulator: { type: 'string', multiple: true, default: [] },
  },
})
const refuse = (why) => {
  say(why)
  process.exit(2)
}

/** The QEMUs of every run: the one that speaks the region protocol, and the newest that speaks fsm. */
const quick = ['7.2', '11.1']

/** @type {Map<string, Case>} */
const cases = new Map()
const folder = join(testbed, 'vmm/cases')
for (const file of readdirSync(folder).filter((name) => name.endsWith('.mjs'))) {
  const { default: group } = await import(join(folder, file))
  for (const [name, one] of Object.entries(group)) cases.set(name, one)
}
const named = (start) => [...cases.keys()].filter((name) => name.startsWith(start))
const unknown = positionals.find((start) => named(start).length === 0)
if (unknown !== undefined) refuse(`there is no case ${unknown}: there are ${[...cases.keys()].sort().join(', ')}`)
const stranger = values.emulator.find((name) => !emulators.includes(name))
if (stranger !== undefined) refuse(`there is no QEMU ${stranger}: there are ${emulators.join(', ')}`)

const total = { passed: 0, failed: 0, skipped: 0 }
const skips = []

/** How often a case is run whose QEMU loses a packet. */
const most = 5

/** Runs one case on one QEMU, and says how it went. */
const runOne = async (name, one, generation) => {
  for (let tries = 1; await isToRunAgain(name, one, generation, tries === most); tries += 1);
}

/** Runs it once. True if it says nothing, since QEMU failed by itself: it may do so unless this is the last try. */
const isToRunAgain = async (name, one, generation, isLast) => {
  const where = `${name} on QEMU ${generation}`
  const begun = Date.now()
  const done = (how, why = '') => say(`${where}: ${how} in ${((Date.now() - begun) / 1000).toFixed(1)} s${why}`)
  const bed = new Bed(name, generation, { records: values.record })
  try {
    emulator(generation)
    await one.run(bed)
    if (one.golden) await bed.compareTraces()
    total.passed += 1
    done('passed')
    return false
  } catch (error) {
    if (error instanceof Missing) {
      total.skipped += 1
      skips.push(`skipped: ${where}: ${error.message}`)
      return false
    }
    const lost = isLast ? undefined : bed.lost
    if (lost !== undefined) {
      done('ended', `, to be run again, since QEMU has lost ${lost}: ${`${error.message ?? error}`.split('\n')[0]}`)
      return true
    }
    total.failed += 1
    done('failed', `: ${one.what}`)
    console.error(error.stack ?? error)
    console.error(bed.told())
    return false
  } finally {
    if (values.verbose) console.error(bed.told())
    await bed.end()
  }
}

for (const name of positionals.length > 0 ? positionals.flatMap(named) : cases.keys()) {
  const one = cases.get(name)
  const wanted =
    values.all || positionals.length > 0
      ? one.on
      : one.on.filter((generation) => !one.rare && quick.includes(generation))
  for (const generation of wanted) {
    if (values.emulator.length === 0 || values.emulator.includes(generation)) await runOne(name, one, generation)
  }
}
for (const line of skips) console.log(line)
console.log(`vmm: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed > 0 ? 1 : 0
