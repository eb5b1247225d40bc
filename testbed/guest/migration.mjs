// A migration between the two devices of the project's own module, both ends in this process, over a unix socket.
import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDevice, restore, save } from '../../ts/dist/index.js'
import { from, to } from './testdev.mjs'

/** What the source's device is made from, and what the destination's was made from before. */
export const secret = { source: '4711', destination: '3' }

/** Both devices new, but for these knobs. */
export const prepare = (knobs = {}) => {
  for (const device of [from, to]) device.reset(knobs)
  from.set('secret', secret.source)
  to.set('secret', secret.destination)
}

/**
 * Migrates, and closes the devices. Of each end: how it ended for the device (`outcome`), the state that the device was in
 * then, the code of the error if it failed, how often the driver counts a reset, the `summary` and the `events`.
 *
 * @param {object} [options]
 * @param {import('../../ts/dist/index.js').SaveOptions} [options.saving]
 * @param {import('../../ts/dist/index.js').RestoreOptions} [options.restoring]
 * @param {(session: object, event: object) => void} [options.atSource] is told every event
 * @param {string} [options.by] the way to the devices
 */
export const migrate = async ({ saving = {}, restoring = {}, atSource = () => {}, by = 'group' } = {}) => {
  const place = { unix: join(tmpdir(), `migration-${randomUUID()}`) }
  const source = await save(await openDevice(`${from.address}?by=${by}`, { id: 'device' }), saving)
  const destination = await restore(await openDevice(`${to.address}?by=${by}`, { id: 'device' }), restoring)
  const ends = [
    follow(destination, destination.receiveFrom(place), to, () => {}),
    follow(source, source.sendTo(place), from, atSource),
  ]
  const [there, here] = await Promise.all(ends)
  return { source: here, destination: there }
}

const follow = async (session, done, device, told) => {
  const seen = []
  const reading = (async () => {
    for await (const event of session.events()) {
      seen.push(event)
      told(session, event)
    }
  })()
  const { summary, error } = await done.then(
    (summary) => ({ summary }),
    (error) => ({ summary: error.details.summary, error }),
  )
  await reading
  const [finished] = summary.devices
  const ended = {
    outcome: finished.outcome,
    state: finished.device?.state,
    code: error?.code,
    resets: device.count('reset'),
  }
  await finished.device?.close()
  return { ...ended, summary, error, events: seen }
}

/** What the driver must have counted where nothing failed: the same secret, and no reset. */
export const arrived = { outcome: 'completed', code: undefined, resets: 0 }

/** The parts of an end that tests compare. */
export const end = ({ outcome, state, code, resets }) => ({ outcome, state, code, resets })
