// In a machine with the project's own module, which fails as it is told to: how a session over it ends at each end, as the
// table of failures says (crates/protocol, session/recovery), and how often the driver counts a reset.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openDevice, save } from '../../ts/dist/index.js'
import { end, migrate, prepare, secret } from './migration.mjs'
import { from, to } from './testdev.mjs'

/** A source that goes on as if nothing had been; with a code, because of its own device or of the other end. */
const returned = (code) => ({ outcome: 'returned', state: 'running', code, resets: 0 })
/** A destination whose device had begun to take data. */
const reset = (code) => ({ outcome: 'reset', state: 'running', code, resets: 1 })
const DEVICE = 'ERR_VFIO_DEVICE_FAILED'
/** What the other end is told: by a destination that it cannot go on, by a source that it keeps the guest. */
const REFUSED = 'ERR_VFIO_REFUSED'
const CANCELLED = 'ERR_VFIO_CANCELLED'

/** A deadline that only the call in question can miss, in milliseconds: several machines may share a processor. */
const patience = 3000

/**
 * Each failure: the fault, the way the ends go, and how they end.
 *
 * @type {Record<string, { source?: string, destination?: string, knobs?: object, saving?: object, restoring?: object,
 *   ends: [object, object] }>}
 */
const failures = {
  'pre-copy is refused': {
    source: 'arc:running>pre-copy 1 errno 5',
    ends: [returned(DEVICE), reset(CANCELLED)],
  },
  'the data fd of pre-copy has no number (EMFILE)': {
    source: 'arc:running>pre-copy 1 late 24',
    ends: [returned(DEVICE), reset(CANCELLED)],
  },
  'a read fails in pre-copy': {
    source: 'read 1 error 5',
    ends: [returned(DEVICE), reset(CANCELLED)],
  },
  'a read fails in stop-copy': {
    source: 'read 4 error 5',
    knobs: { size: 16 << 20 },
    saving: { preCopy: false },
    ends: [returned(DEVICE), reset(CANCELLED)],
  },
  'stop-copy is refused': {
    source: 'arc:pre-copy-p2p>stop-copy 1 errno 16',
    ends: [returned(DEVICE), reset(CANCELLED)],
  },
  'the source goes into error: it is left as it is': {
    source: 'arc:pre-copy-p2p>stop-copy 1 error 5',
    ends: [{ outcome: 'lost', state: 'error', code: DEVICE, resets: 0 }, reset(CANCELLED)],
  },
  'the source goes into error, and may be reset': {
    source: 'arc:pre-copy-p2p>stop-copy 1 error 5',
    saving: { onUnrecoverable: 'reset' },
    ends: [{ outcome: 'reset', state: 'running', code: DEVICE, resets: 1 }, reset(CANCELLED)],
  },
  'resuming is refused': {
    destination: 'arc:stop>resuming 1 errno 5',
    ends: [returned(REFUSED), reset(DEVICE)],
  },
  'the data fd of resuming has no number (EMFILE)': {
    destination: 'arc:stop>resuming 1 late 24',
    ends: [returned(REFUSED), reset(DEVICE)],
  },
  'a write fails for want of space (ENOSPC)': {
    destination: 'write 2 errno 28',
    ends: [returned(REFUSED), reset(DEVICE)],
  },
  'a write fails, and the driver would go on all the same': {
    destination: 'write 2 errno 14',
    knobs: { accept_corrupt: 1 },
    ends: [returned(REFUSED), reset(DEVICE)],
  },
  'data vanish on their way into the device': {
    destination: 'write 2 swallow',
    ends: [returned(REFUSED), reset(DEVICE)],
  },
  'data are damaged before anybody could check them': {
    source: 'read 1 corrupt',
    ends: [returned(REFUSED), reset(DEVICE)],
  },
  'data end too early': {
    source: 'read 2 end',
    knobs: { size: 16 << 20 },
    saving: { preCopy: false },
    ends: [returned(REFUSED), reset(DEVICE)],
  },
  'leaving resuming leads into error': {
    destination: 'arc:resuming>stop 1 error 5',
    ends: [returned(REFUSED), reset(DEVICE)],
  },
  'a read at the source passes its deadline': {
    source: 'read 2 delay 8000',
    saving: { deadlineMs: patience },
    ends: [returned('ERR_VFIO_DEADLINE'), reset(CANCELLED)],
  },
  'leaving resuming passes its deadline': {
    destination: 'arc:resuming>stop 1 delay 8000',
    restoring: { deadlineMs: patience },
    ends: [returned(REFUSED), reset('ERR_VFIO_DEADLINE')],
  },
  // Calls that block for longer than any machine is given: nothing but our signal ends them.
  'a read at the source blocks': {
    source: 'read 2 block 3600000',
    saving: { deadlineMs: patience },
    ends: [returned('ERR_VFIO_DEADLINE'), reset(CANCELLED)],
  },
  'stop-copy blocks': {
    source: 'arc:pre-copy-p2p>stop-copy 1 block 3600000',
    saving: { deadlineMs: patience },
    ends: [returned('ERR_VFIO_DEADLINE'), reset(CANCELLED)],
  },
  'a write blocks': {
    destination: 'write 2 block 3600000',
    restoring: { deadlineMs: patience },
    ends: [returned(REFUSED), reset('ERR_VFIO_DEADLINE')],
  },
  'leaving resuming blocks': {
    destination: 'arc:resuming>stop 1 block 3600000',
    restoring: { deadlineMs: patience },
    ends: [returned(REFUSED), reset('ERR_VFIO_DEADLINE')],
  },
}

for (const [what, { source, destination, knobs, saving, restoring, ends }] of Object.entries(failures)) {
  test(what, async () => {
    prepare(knobs)
    if (source) from.fault(source)
    if (destination) to.fault(destination)
    const ended = await migrate({ saving, restoring })
    assert.deepEqual(
      [end(ended.source), end(ended.destination)],
      ends,
      `${ended.source.error} | ${ended.destination.error}`,
    )
    assert.deepEqual([...from.struck, ...to.struck], [1])
    // What the reports count is what the driver counts.
    for (const { summary, resets } of Object.values(ended)) assert.equal(summary.objects[0]?.resets ?? 0, resets)
    const overdue = ended.source.events.concat(ended.destination.events).filter(({ type }) => type === 'overdue')
    assert.equal(overdue.length > 0, /delay|block/.test(source ?? destination))
    if (ends[0].outcome !== 'returned') return
    assert.equal(from.secret, secret.source, 'the source has what it had')
    for (const device of [from, to]) device.fault('clear')
    const again = await migrate()
    assert.equal(again.destination.outcome, 'completed', 'both devices can be used')
    assert.equal(to.secret, secret.source)
  })
}

test('a destination that fails while it leaves stop keeps all in doubt, and gives the guest back when it is asked', async () => {
  prepare()
  to.fault('arc:running-p2p>running 1 errno 5')
  const atSource = (session, { type }) => {
    if (type === 'in-doubt') session.takeBack().catch(() => {})
  }
  const { source, destination } = await migrate({ atSource })
  assert.deepEqual([end(source), end(destination)], [returned(source.code), reset(DEVICE)])
  const types = source.events.map(({ type }) => type)
  assert.ok(types.indexOf('given-up') < types.indexOf('in-doubt') && types.includes('given-up'))
  assert.equal(from.secret, secret.source)
})

test('a file without room (ENOSPC): the guest goes on, and no part of a file is left', async (t) => {
  prepare({ size: 4 << 20 })
  const folder = mkdtempSync(join(tmpdir(), 'full-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'full', folder])
  t.after(() => execFileSync('umount', [folder]))
  const session = await save(await openDevice(from.address, { id: 'device' }))
  const error = await session.sendTo({ file: join(folder, 'state') }).then(
    () => assert.fail('there was room'),
    (error) => error,
  )
  assert.equal(error.code, 'ERR_VFIO_TRANSPORT', error.message)
  assert.match(error.message, /ENOSPC|[Nn]o space/)
  const [{ outcome, device }] = error.details.summary.devices
  assert.deepEqual([outcome, device.state, from.count('reset')], ['returned', 'running', 0])
  await device.close()
  assert.deepEqual(readdirSync(folder), [])
})
