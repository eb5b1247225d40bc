// A migration with a fault, carried out by QEMU.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { eachOf } from './row.mjs'

/** How long a migration may go on before it counts as one that never ends, in milliseconds. */
const patience = 12_000

/** How long a machine may take to say what became of the guest. */
const settling = 3000

/** How long a machine may take to answer: one that does not hangs, and answers nobody any more. */
const listening = 15_000

const silent = Symbol('it does not answer')

/** Asks until there is an answer or the time is over; undefined then. A busy machine has more time: so often is asked at least. */
const within = async (time, ask) => {
  const end = Date.now() + time
  for (let asked = 0; Date.now() < end || asked < time / 50; asked += 1) {
    const answer = await ask()
    if (answer) return answer
    await sleep(20)
  }
  return undefined
}

/** What a machine answers, or undefined if it has ended meanwhile, or hangs. */
const ask = async (vm, question) => {
  if (vm.ended || vm.hangs) return undefined
  const late = new AbortController()
  try {
    const asked = question(vm)
    const answer = await Promise.race([asked, sleep(listening, silent, { signal: late.signal }).catch(() => silent)])
    if (answer !== silent) return answer
    vm.hangs = true
    // The watchdog of who asked barks later, at nobody.
    asked.catch(() => {})
    return undefined
  } catch (error) {
    // The end of the program comes a little later than the end of its answers.
    await within(settling, () => vm.ended)
    if (vm.ended) return undefined
    throw error
  } finally {
    late.abort()
  }
}

const crashed = (vm) => vm.ended !== undefined && vm.ended.signal !== null

/** The numbers of a machine's devices, as its trace calls them. */
const numbers = (vm) => Array.from({ length: vm.devices }, (_, index) => `${index}`)

/** Whether the guest does not work with the devices that it knows: one that was reset has forgotten it. */
const wiped = async (vm, resets) => {
  const known = await ask(vm, () => vm.works(20))
  const again = () => numbers(vm).some((device) => vm.trace.count('reset', { device }) > resets)
  return known === undefined ? undefined : known.errors > 0 || again()
}

/**
 * @param {import('../bed.mjs').Bed} bed
 * @param {import('./row.mjs').Row} row
 * @returns {Promise<import('./outcome.mjs').Outcome>}
 */
export const theirs = async (bed, row) => {
  const { side, theirs: all, settings, capabilities = [], cdev, cancelled } = row
  const faults = typeof all === 'string' ? all : all[bed.generation]
  const devices = (end) => ({ settings, each: eachOf(row, side === end ? faults : ''), cdev })
  const source = await bed.start('source', { devices: devices('source'), paused: true })
  const target = await bed.start('target', { devices: devices('target'), incoming: true })
  // Not before all is watched: there are devices that fail when a guest begins to run.
  await ask(source, () => source.execute('cont'))
  if (!crashed(source)) await source.booted(source.devices)
  else {
    assert.equal(missing(source, faults), undefined)
    return { says: 'crashed', source: 'crashed', target: 'waits' }
  }
  for (const vm of [source, target]) await vm.capabilities(capabilities)
  if (cancelled) await source.execute('migrate-set-parameters', slow)
  const stays = !cancelled && isInPreCopy(faults)
  if (stays) await source.execute('migrate-set-parameters', { 'downtime-limit': 0 })
  else if (capabilities.includes('multifd')) await source.execute('migrate-set-parameters', patient)
  const uri = `unix:${bed.file('socket')}`
  await target.execute('migrate-incoming', { uri })
  const refused = await source.execute('migrate', { uri }).catch((error) => error)
  if (stays) {
    await within(patience, () => source.ended || missing(source, faults) === undefined)
    await ask(source, () => source.execute('migrate-set-parameters', usual))
  }
  if (cancelled) {
    await source.traced('the device is in pre-copy', ({ lines }) => lines.some(({ state }) => state === 'pre-copy'))
    await ask(source, () => source.execute('migrate_cancel'))
  }
  const status =
    refused instanceof Error
      ? 'failed'
      : await within(patience, () =>
          ask(source, async () => {
            const { status } = await source.execute('query-migrate')
            return ['completed', 'failed', 'cancelled'].includes(status) && status
          }).then((answer) => (source.ended ? 'crashed' : answer)),
        )
  const says = status ?? 'never ends'
  // What goes wrong on the way back may come after QEMU has said how it ended.
  const failing = side === 'source' ? source : target
  await within(settling, () => failing.ended || missing(failing, faults) === undefined)
  const ends = { source: await sourceOf(source), target: await targetOf(target, source) }
  // Whether a source still says that it failed before it crashes is a matter of chance.
  const outcome = { says: says === 'failed' && ends.source === 'crashed' ? 'crashed' : says, ...ends }
  // A row in which nothing went wrong would say nothing.
  assert.equal(missing(failing, faults), undefined)
  return outcome
}

/** Where a fault comes to pass: `{ call, at, state }`, of which `at` is a number or `last`. */
const placeOf = (fault) => {
  const [, call, at, state] = /^([a-z-]+)@(\d+|last)\+?(?:\/([a-z0-9-]+))?:/.exec(fault)
  return { call, at: at === 'last' ? at : Number(at), state }
}

/** What a trace calls the log of the IOMMU, which for a model is a tracker like the device's own. */
const ofIommu = { 'tracker-start': 'dirty-start', 'tracker-report': 'dirty-bitmap', 'tracker-stop': 'dirty-stop' }

const failed = ({ gave }) => gave.some((word) => /^E[A-Z0-9]+$/.test(word))

/** The first fault whose call has not come yet, with how often it came. */
const missing = ({ trace, devices }, faults) => {
  for (const fault of faults.split(',')) {
    const { call, at, state } = placeOf(fault)
    const names = [call, ofIommu[call]].filter(Boolean)
    const all = names.flatMap((name) => trace.of(name, { device: `${devices - 1}` }))
    const lines = all.filter((line) => !state || line.state === state)
    const came = lines.reduce((sum, { times }) => sum + times, 0)
    if (at === 'last' ? !lines.some(failed) : came < at) return `${fault} did not happen: ${call} came ${came} times`
  }
  return undefined
}

/** Whether the fault is in what pre-copy brings, of which a QEMU on a slow machine leaves the rest to stop-copy. */
const isInPreCopy = (faults) => {
  const { call, state } = placeOf(faults)
  return state === 'pre-copy' && !/state$/.test(call)
}

/** How long QEMU lets a guest stand still unless it is told otherwise, in milliseconds. */
const usual = { 'downtime-limit': 300 }

/**
 * How long where all that a device has comes while the guest stands still: by what QEMU measures on a busy machine it would not
 * get through in the usual time, and so QEMU would never let it stand still.
 */
const patient = { 'downtime-limit': 10_000 }

/** So few bytes a second that a migration is still in pre-copy when it is cancelled. */
const slow = { 'max-bandwidth': 100_000 }

const sourceOf = async (source) => {
  const state = await within(settling, () =>
    ask(source, async () => {
      const now = await source.runState()
      return ['running', 'postmigrate'].includes(now) && now
    }),
  )
  if (crashed(source)) return 'crashed'
  if (source.hangs) return 'hangs'
  if (state === undefined || state === 'postmigrate') return 'stopped'
  const lost = await wiped(source, 1)
  if (lost === undefined) return source.hangs ? 'hangs' : 'crashed'
  return lost ? 'runs on, device wiped' : 'runs on'
}

const targetOf = async (target, source) => {
  const state = await within(settling, async () => {
    if (target.ended) return 'ended'
    const now = await ask(target, () => target.runState())
    return now === 'running' && now
  })
  if (crashed(target)) return 'crashed'
  if (target.ended) return 'ended'
  if (target.hangs) return 'hangs'
  if (state === undefined) return 'waits'
  const lost = await wiped(target, 1)
  if (lost === undefined && target.hangs) return 'hangs'
  if (lost === undefined) return crashed(target) ? 'crashed' : 'ended'
  if (lost) return 'runs, device wiped'
  const arrived = (device) => {
    const [saved, loaded] = [source.trace.held('saved', { device }), target.trace.held('loaded', { device })]
    return saved && saved.proof === loaded?.proof
  }
  return numbers(target).every(arrived) ? 'runs' : 'runs, other data'
}
