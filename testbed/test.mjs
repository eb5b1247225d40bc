// Runs the suites of the test bed: `node testbed/test.mjs [--all] [--verbose] [SUITE...]`. Without --all what takes long is
// left out. A suite is a file of suites/: what it builds on the host, and which commands it runs in which machines. Ends
// with one line that counts: `kernel: 12 passed, 0 failed, 1 skipped`.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setup } from '../scripts/setup.mjs'
import { cache, Missing, root, say, testbed } from './cache.mjs'
import { complaints } from './complaints.mjs'
import { runIn } from './machine.mjs'

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
 * @property {{ package: string, bin?: string, test?: string }[]} [builds] of Cargo
 * @property {(programs: Record<string, string>) => Run[]} runs in this order, with one folder that all may write to;
 *   `programs` has the path of each build, by its name
 */

/** Builds a program or a test of Cargo's, and gives back where it is. */
const build = ({ package: name, bin, test }) => {
  const what = bin === undefined ? ['test', '--no-run', '--test', test] : ['build', '--bin', bin]
  const args = [...what, '-p', name, '--message-format=json', '--quiet']
  const { status, stdout } = spawnSync('cargo', args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`cargo ${args.join(' ')} failed`)
  const messages = stdout.split('\n').filter((line) => line.startsWith('{'))
  const made = messages.map((line) => JSON.parse(line)).filter((message) => message.executable)
  const executable = made.find((message) => message.target.name === (bin ?? test))?.executable
  if (!executable) throw new Error(`cargo ${args.join(' ')} made no ${bin ?? test}`)
  return executable
}

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
  options: { all: { type: 'boolean', default: false }, verbose: { type: 'boolean', default: false } },
})
const folder = join(testbed, 'suites')
const known = readdirSync(folder)
  .filter((name) => name.endsWith('.mjs'))
  .map((name) => name.slice(0, -'.mjs'.length))
const unknown = positionals.find((name) => !known.includes(name))
if (unknown !== undefined) {
  say(`there is no suite ${unknown}: there are ${known.join(', ')}`)
  process.exit(2)
}

const total = { passed: 0, failed: 0, skipped: 0 }
const skips = []
const failures = []

/** Runs one command of a suite, adds up what it counted, and says so. */
const runOne = async (name, share, run) => {
  const where = `${name} on ${run.kernel} ${run.set}`
  const begun = Date.now()
  try {
    const output = (stream, bytes) => process[stream].write(bytes)
    const machine = { load: ['mtty'], ...run, share, cwd: root, output: values.verbose ? output : undefined }
    const ended = await runIn(machine, run.command)
    const counted = run.provokes ? heard(ended, run.provokes) : count(ended)
    const found = run.watched ? complaints(ended.log) : []
    if (found.length > 0) {
      counted.failed += 1
      counted.reason = `the kernel complains: ${found.join(' | ')}`
    }
    for (const key of Object.keys(total)) total[key] += counted[key]
    skips.push(...counted.skips)
    const seconds = ((Date.now() - begun) / 1000).toFixed(1)
    const reason = counted.reason ? `: ${counted.reason}` : ''
    say(
      `${where}: ${counted.passed} passed, ${counted.failed} failed, ${counted.skipped} skipped in ${seconds} s${reason}`,
    )
    if (counted.failed === 0) return
    failures.push(where)
    if (values.verbose) return
    const log = ended.log.trim().split('\n').slice(-20).join('\n')
    console.error(`${ended.stdout}\n${ended.stderr}\nthe end of the kernel's log:\n${log}`)
  } catch (error) {
    if (!(error instanceof Missing)) throw error
    total.skipped += 1
    skips.push(`skipped: ${where}: ${error.message}`)
  }
}

mkdirSync(join(cache, 'runs'), { recursive: true })
for (const name of positionals.length > 0 ? positionals : known) {
  /** @type {{ default: Suite }} */
  const { default: suite } = await import(join(folder, `${name}.mjs`))
  if (suite.all && !values.all && positionals.length === 0) continue
  setup(suite.needs ?? [])
  const programs = Object.fromEntries((suite.builds ?? []).map((one) => [one.bin ?? one.test, build(one)]))
  const share = mkdtempSync(join(cache, 'runs/suite-'))
  try {
    for (const run of suite.runs(programs)) {
      if (!run.all || values.all) await runOne(name, share, run)
    }
  } finally {
    rmSync(share, { recursive: true, force: true })
  }
}
for (const where of failures) say(`failed: ${where}`)
for (const line of skips) console.log(line)
console.log(`kernel: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed > 0 ? 1 : 0
