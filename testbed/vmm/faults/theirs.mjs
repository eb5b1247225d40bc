// A migration with a fault, carried out by QEMU.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { settingsOf } from './row.mjs'

/** How long a migration may go on before it counts as one that never ends, in milliseconds. */
const patience = 6000

/** How long a machine may take to say what became of the guest. */
const settling = 3000

/** Asks until there is an answer or the time is over; undefined then. */
const within = async (time, ask) => {
  for (const end = Date.now() + time; Date.now() < end; await sleep(20)) {
    const answer = await ask()
    if (answer) return answer
  }
  return undefined
}

/** What a machine answers, or undefined if it has ended meanwhile. */
const ask = async (vm, question) => {
  try {
    return vm.ended ? undefined : await question(vm)
  } catch (error) {
    // The end of the program comes a little later than the end of its answers.
    await within(settling, () => vm.ended)
    if (vm.ended) return undefined
    throw error
  }
}

const crashed = (vm) => vm.ended !== undefined && vm.ended.signal !== null

/** Whether the guest works with the device that it knows: one that was reset has forgotten it. */
const wiped = async (vm, resets) => {
  const known = await ask(vm, () => vm.works(20))
  return known === undefined ? undefined : known.errors > 0 || vm.trace.count('reset') > resets
}

/**
 * @param {import('../bed.mjs').Bed} bed
 * @param {import('./row.mjs').Row} row
 * @returns {Promise<import('./outcome.mjs').Outcome>}
 */
export const theirs = async (bed, { side, theirs: all, settings, capabilities = [], cdev }) => {
  const faults = typeof all === 'string' ? all : all[bed.generation]
  const devices = (end) => ({ settings: side === end ? `${settings},${settingsOf(faults)}` : settings, cdev })
  const source = await bed.start('source', { devices: devices('source') })
  const target = await bed.start('target', { devices: devices('target'), incoming: true })
  await source.booted(1)
  for (const vm of [source, target]) await vm.capabilities(capabilities)
  const uri = `unix:${bed.file('socket')}`
  await target.execute('migrate-incoming', { uri })
  const refused = await source.execute('migrate', { uri }).catch((error) => error)
  const status =
    refused instanceof Error
      ? 'failed'
      : await within(patience, () =>
          ask(source, async () => {
            const { status } = await source.execute('query-migrate')
            return ['completed', 'failed'].includes(status) && status
          }).then((answer) => (source.ended ? 'crashed' : answer)),
        )
  const says = status ?? 'never ends'
  const outcome = { says, source: await sourceOf(source), target: await targetOf(target, source) }
  assertCame(side === 'source' ? source : target, faults)
  return outcome
}

/** The calls that were to fail came: a row in which nothing went wrong would say nothing. */
const assertCame = ({ trace }, faults) => {
  for (const fault of faults.split(',')) {
    const [, call, at, , state] = /^([a-z-]+)@(\d+)\+?(\/([a-z0-9-]+))?:/.exec(fault)
    const lines = trace.of(call).filter((line) => state === undefined || line.state === state)
    const came = lines.reduce((sum, { times }) => sum + times, 0)
    assert.ok(came >= Number(at), `${fault} did not happen: ${call} came ${came} times`)
  }
}

const sourceOf = async (source) => {
  const state = await within(settling, () =>
    ask(source, async () => {
      const now = await source.runState()
      return ['running', 'postmigrate'].includes(now) && now
    }),
  )
  if (crashed(source)) return 'crashed'
  if (state === undefined || state === 'postmigrate') return 'stopped'
  const lost = await wiped(source, 1)
  if (lost === undefined) return 'crashed'
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
  if (state === undefined) return 'waits'
  const lost = await wiped(target, 1)
  if (lost === undefined) return crashed(target) ? 'crashed' : 'ended'
  if (lost) return 'runs, device wiped'
  const [saved, loaded] = [source.trace.held('saved'), target.trace.held('loaded')]
  return saved && saved.proof === loaded?.proof ? 'runs' : 'runs, other data'
}
