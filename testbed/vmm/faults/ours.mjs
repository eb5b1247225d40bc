// The same migration with the same fault, carried out by us: a real session over a socket, of devices that are the same.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { root } from '../../cache.mjs'
import { settle } from '../devices.mjs'
import { eachOf } from './row.mjs'

const load = (name) => import(pathToFileURL(join(root, 'ts/dist', name)))

/** How long a session may go on before it counts as one that never ends, in milliseconds. */
const patience = 60_000

/** How long pre-copy may last, in milliseconds: a device that cannot say what is left is stopped after that. */
const maxPreCopyMs = 2000

/**
 * @param {string} folder for the socket
 * @param {import('./row.mjs').Row} row
 * @returns {Promise<import('./outcome.mjs').Outcome>}
 */
export const ours = async (folder, row) => {
  const {
    side,
    ours: faults,
    settings,
    own: ownly,
    devices: count = 1,
    saving: ofSave,
    restoring: ofRestore,
    cancelled,
  } = row
  const { restore, save } = await load('index.js')
  const { GuestMemory, openModel } = await load('model.js')
  const open = async (end) => {
    const memory = new GuestMemory({ length: 1n << 20n })
    const opened = []
    for (const [index, own] of eachOf(row, side === end ? faults : '').entries()) {
      // Each writes to a part of the memory that is its own.
      const address = settle(['size=64KiB'], settings, ownly, count > 1 && `lane=${index}/${count}`, own)
      const options = { memory, id: `device${index}`, experimentalRegion: { dialect: 'qemu' } }
      opened.push(await openModel(address, options))
    }
    const [devices, models] = ['device', 'model'].map((what) => opened.map((one) => one[what]))
    return { devices, models, memory, runs: false, missed: 0, expected: [] }
  }
  const [source, target] = [await open('source'), await open('target')]
  const run = (end, runs) => async () => {
    for (const model of end.models) await (runs ? model.resumeGuest() : model.pauseGuest())
    end.runs = runs
  }
  await run(source, true)()
  const hooks = { pause: run(source, false), unpause: run(source, true) }
  const saving = await save(source.devices, { memory: source.memory, maxPreCopyMs, ...ofSave, ...hooks })
  if (cancelled) cancelInPreCopy(saving)
  // The last moment before the device at the destination may write to memory.
  const configure = async () => {
    for (const model of source.models) {
      target.missed += await model.missed(target.memory)
      target.expected.push(await model.proof())
    }
  }
  const hooksThere = { configure, takeOver: run(target, true) }
  const restoring = await restore(target.devices, { memory: target.memory, ...ofRestore, ...hooksThere })
  const place = `unix:${join(folder, 'ours.socket')}`
  const sessions = [
    [restoring, restoring.receiveFrom(place)],
    [saving, saving.sendTo(place)],
  ]
  const [there, here] = await Promise.all(sessions.map(([session, done]) => ended(session, done)))
  const outcome = {
    says: sayOf(here),
    source: sourceOf(here, source),
    target: targetOf(there, target),
  }
  for (const [session, done] of sessions) {
    // What is in doubt stays so until somebody decides; the decision is no part of the outcome.
    if (session.inDoubt) await session.discard().catch(() => {})
    await done.catch(() => {})
  }
  return outcome
}

/** Cancels a session as soon as a device of it is in pre-copy. */
const cancelInPreCopy = async (session) => {
  for await (const { type, to } of session.events()) if (type === 'state' && to === 'pre-copy') return session.cancel()
}

/** How a session ended, or that it is in doubt. */
const ended = async (session, done) => {
  const settled = done.then(
    (summary) => ({ summary }),
    (error) => ({ summary: error.details?.summary, error }),
  )
  for (const end = Date.now() + patience; Date.now() < end; ) {
    const now = await Promise.race([settled, sleep(50)])
    if (now !== undefined) return now
    if (session.inDoubt) return { doubt: true }
  }
  return {}
}

const sayOf = ({ summary, error, doubt }) => {
  if (doubt) return 'in doubt'
  if (summary?.outcome === 'completed' && error === undefined) return 'completed'
  if (error?.code === 'ERR_VFIO_CANCELLED') return 'cancelled'
  return summary || error ? 'failed' : 'never ends'
}

const sourceOf = ({ summary, doubt }, { models, runs }) => {
  if (runs && models.some((model) => model.resets > 0)) return 'runs on, device wiped'
  if (summary?.objects.some(({ outcome }) => outcome === 'lost')) return 'device in error'
  if (runs) return 'runs on'
  return doubt ? 'stopped, device kept' : 'stopped'
}

const targetOf = ({ doubt }, { models, runs, missed, expected }) => {
  if (doubt) return 'device kept'
  if (!runs) return 'ended'
  if (models.some((model) => model.resets > 0)) return 'runs, device wiped'
  const arrived = models.every((model, index) => model.stopped?.proof === expected[index])
  return arrived && missed === 0 ? 'runs' : 'runs, other data'
}
