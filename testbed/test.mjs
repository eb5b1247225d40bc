// Runs the suites of the test bed: `node testbed/test.mjs [--all] [--verbose] [--at-once N] [SUITE...]`. Without --all what
// takes long is left out. A suite is a file of suites/: what it builds on the host, and which commands it runs in which
// machines. Several machines run at once. Ends with one line that counts: `kernel: 12 passed, 0 failed, 1 skipped`.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setup, took } from '../scripts/setup.mjs'
import { build } from './builds.mjs'
import { cache, Missing, root, say, testbed } from './cache.mjs'
import { complaints } from './complaints.mjs'
import { runIn } from './machine.mjs'
import { atOnce, sideBySide } from './side-by-side.mjs'

/**
 * @typedef {object} Run one command in one machine
 * @property {string} kernel
 * @property {string} set
 * @property {string[]} [load] `mtty` unless told otherwise
 * @property {boolean} [igb]
 * @property {boolean} [iommu] false: the igb is behind none
 * @property {boolean} [bridge] with igb: a network card that shares its IOMMU group
 * @property {number} [memory] MiB
 * @property {number} [timeout] seconds
 * @property {Record<string, string>} [env]
 * @property {string[]} command ends with the counts of Cargo's or Node's test runner
 * @property {boolean} [all] only with --all
 * @property {boolean} [watched] whether the run fails if the kernel's log has a report of a mistake
 * @property {RegExp} [provokes] the report that the command makes the kernel write: that it is heard is the test, and
 *   nothing else is counted
 *
 * @typedef {object} Suite
 * @property {string} what it checks
 * @property {boolean} [all] only with --all, or by name
 * @property {string[]} [needs] steps of scripts/setup.mjs
 * @property {string[]} [programs] of `programs/`, to be built
 * @property {string[]} [tests] of any crate, to be built
 * @property {boolean} [inOrder] whether the runs go one after another, with one folder that all may write to
 * @property {(built: Record<string, string>) => Run[]} runs `built` has the path of each program and test, by its name
 */

const sum = (text, pattern) => [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0)

/** What a test runner counted, Cargo's or Node's. A test that says `skipped: why` was not one that passed. */
const count = ({ status, why, stdout, stderr }) => {
  const passed = sum(stdout, /^test result: .*?(\d+) passed/gm) + sum(stdout, /^# pass (\d+)/gm)
  let failed = sum(stdout, /^test result: .*?(\d+) failed/gm) + sum(stdout, /^# (?:fail|cancelled) (\d+)/gm)
  const ignored = sum(stdout, /^test result: .*?(\d+) ignored/gm) + sum(stdout, /^# (?:skipped|todo) (\d+)/gm)
  const skips = [...`${stdout}\n${stderr}`.matchAll(/^skipped: .*$/gm)].map((match) => match[0])
  let reason = why
  if (status !== 0 && failed === 0) {
    failed = 1
    reason ??= `the command ended with ${status}`
  } else if (passed + failed + ignored === 0) {
    failed = 1
    reason = 'no test was run'
  }
  return { passed: Math.max(passed - skips.length, 0), failed, skipped: ignored + skips.length, skips, reason }
}

/** A run whose command makes the kernel complain passes if the complaint is heard. */
const heard = ({ why, log }, report) => {
  const found = complaints(log).some((line) => report.test(line))
  const reason = found ? undefined : (why ?? `the kernel's log has no report like ${report}`)
  return { passed: found ? 1 : 0, failed: found ? 0 : 1, skipped: 0, skips: [], reason }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    all: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    'at-once': { type: 'string', default: String(atOnce) },
  },
})
const refuse = (why) => {
  say(why)
  process.exit(2)
}
if (!/^[1-9]\d*$/.test(values['at-once'])) refuse('--at-once takes the number of machines that may run at once')
const most = Number(values['at-once'])
const folder = join(testbed, 'suites')
const known = readdirSync(folder)
  .filter((name) => name.endsWith('.mjs'))
  .map((name) => name.slice(0, -'.mjs'.length))
const unknown = positionals.find((name) => !known.includes(name))
if (unknown !== undefined) refuse(`there is no suite ${unknown}: there are ${known.join(', ')}`)

/** What each run came to, in the order in which the suites have them. */
const results = []

/** Runs one command of a suite, and says what it counted. */
const runOne = async (where, share, run) => {
  const begun = Date.now()
  try {
    // Of several machines at once nobody could tell who prints what.
    const output = values.verbose && most === 1 ? (stream, bytes) => process[stream].write(bytes) : undefined
    const ended = await runIn({ load: ['mtty'], ...run, share, cwd: root, output }, run.command)
    if (ended.why === 'interrupted') throw new Error(ended.why)
    const counted = run.provokes ? heard(ended, run.provokes) : count(ended)
    const found = run.watched ? complaints(ended.log) : []
    if (found.length > 0) {
      counted.failed += 1
      counted.reason = `the kernel complains: ${found.join(' | ')}`
    }
    const seconds = ((Date.now() - begun) / 1000).toFixed(1)
    const reason = counted.reason ? `: ${counted.reason}` : ''
    say(
      `${where}: ${counted.passed} passed, ${counted.failed} failed, ${counted.skipped} skipped in ${seconds} s${reason}`,
    )
    const printed = `${ended.stdout}\n${ended.stderr}`
    if (counted.failed > 0) console.error(`${printed}\nthe end of the kernel's log:\n${lastLines(ended.log, 20)}`)
    else if (values.verbose && output === undefined) console.error(printed)
    return counted
  } catch (error) {
    return missing(where, error)
  }
}

const lastLines = (text, most) => text.trim().split('\n').slice(-most).join('\n')

/** What cannot be had here is skipped; any other error is one of ours. */
const missing = (where, error) => {
  if (!(error instanceof Missing)) throw error
  return { passed: 0, failed: 0, skipped: 1, skips: [`skipped: ${where}: ${error.message}`] }
}

/** The lines of a suite's jobs: what may run side by side stands in lines of its own. */
const linesOf = (name, suite, built, share) => {
  let runs
  try {
    runs = suite.runs(built).filter((run) => !run.all || values.all)
  } catch (error) {
    results.push({ where: name, ...missing(name, error) })
    return []
  }
  const jobs = runs.map((run) => {
    const where = `${name} on ${run.kernel} ${run.set}`
    const at = results.push({ where }) - 1
    return async () => {
      results[at] = { where, ...(await runOne(where, share, run)) }
    }
  })
  return suite.inOrder ? [jobs] : jobs.map((job) => [job])
}

/** @type {Map<string, Suite>} */
const suites = new Map()
for (const name of positionals.length > 0 ? positionals : known) {
  /** @type {{ default: Suite }} */
  const { default: suite } = await import(join(folder, `${name}.mjs`))
  if (!suite.all || values.all || positionals.length > 0) suites.set(name, suite)
}

/** What the suites want of something, each once. */
const wanted = (what) => [...new Set([...suites.values()].flatMap((suite) => suite[what] ?? []))]

setup(wanted('needs'))
const begun = Date.now()
const built = build({ programs: wanted('programs'), tests: wanted('tests') })
say(took('building what runs in machines', begun))
mkdirSync(join(cache, 'runs'), { recursive: true })
const shares = []
try {
  const lines = [...suites].flatMap(([name, suite]) => {
    if (suite.inOrder) shares.push(mkdtempSync(join(cache, 'runs/suite-')))
    const own = [...(suite.tests ?? []), ...(suite.programs ?? [])]
    const paths = Object.fromEntries(own.map((one) => [one, built[one]]))
    return linesOf(name, suite, paths, suite.inOrder ? shares.at(-1) : undefined)
  })
  await sideBySide(lines, most)
} finally {
  for (const share of shares) rmSync(share, { recursive: true, force: true })
}
const total = (key) => results.reduce((all, result) => all + result[key], 0)
for (const { where } of results.filter((result) => result.failed > 0)) say(`failed: ${where}`)
for (const line of results.flatMap(({ skips }) => skips)) console.log(line)
console.log(`kernel: ${total('passed')} passed, ${total('failed')} failed, ${total('skipped')} skipped`)
process.exitCode = total('failed') > 0 ? 1 : 0
