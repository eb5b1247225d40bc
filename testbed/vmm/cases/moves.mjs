// A guest with a device moves from one QEMU to another.
import assert from 'node:assert/strict'
import { emulators } from '../../emulators.mjs'
import { assertGoesOn } from '../judge.mjs'
import { able, compared, done, fsm, full, judge, live } from '../move.mjs'

/** @type {Record<string, import('../test.mjs').Case>} */
export default {
  live: {
    what: 'a running guest moves with its device, and nothing is lost',
    golden: true,
    on: emulators,
    run: (bed) => live({ settings: able(bed) })(bed),
  },
  'paused-destination': {
    what: 'the guest’s memory is the same at both ends while nothing runs, and it goes on when it is told to',
    on: emulators,
    run: (bed) => compared({ settings: able(bed) })(bed),
  },
  'paused-source': {
    what: 'a guest that was stopped moves with its device, and goes on when it is told to',
    golden: true,
    on: emulators,
    run: (bed) => compared({ settings: able(bed) }, { asleep: true })(bed),
  },
  'never-ran': {
    what: 'a guest that has never run moves, and boots at the destination with its device',
    golden: true,
    on: emulators,
    run: async (bed) => {
      const devices = { settings: able(bed) }
      const source = await bed.start('source', { devices, paused: true })
      const target = await bed.start('target', { devices, incoming: true })
      assert.deepEqual(await bed.move(source, target), done)
      await target.reaches('paused', 'prelaunch')
      await target.execute('cont')
      await target.booted(1)
      await judge([source, target])
    },
  },
  cancelled: {
    what: 'a migration that is cancelled in pre-copy leaves the guest working, and a second one moves it',
    golden: true,
    on: emulators,
    run: async (bed) => {
      const devices = { settings: able(bed) }
      const source = await bed.start('source', { devices })
      const first = await bed.start('first', { devices, incoming: true })
      await source.booted(1)
      const uri = `unix:${bed.file('first.socket')}`
      await first.execute('migrate-incoming', { uri })
      // So slow that it is still in pre-copy when it is cancelled.
      await source.execute('migrate-set-parameters', { 'max-bandwidth': 100_000 })
      await source.execute('migrate', { uri })
      await source.traced('the device is in pre-copy', (trace) => trace.lines.at(-1)?.state === 'pre-copy')
      await source.execute('migrate_cancel')
      assert.equal((await source.migrated()).status, 'cancelled')
      await assertGoesOn(source)
      assert.notEqual((await first.end()).code, null, 'the first destination ends by itself')
      await source.execute('migrate-set-parameters', { 'max-bandwidth': 1 << 30 })
      const target = await bed.start('target', { devices, incoming: true })
      assert.deepEqual(await bed.move(source, target), done)
      await target.reaches('running')
      await judge([source, target])
    },
  },
  'two-region-devices': {
    // What QEMU asks of which device in pre-copy is another each time.
    what: 'two devices with a migration region move',
    on: ['7.2'],
    run: (bed) => live({ settings: able(bed), each: ['seed=1', 'seed=2'] })(bed),
  },
  'stop-copy-only': {
    what: 'a device without optional states moves',
    golden: true,
    on: fsm,
    run: live({ settings: 'dirty-tracking' }),
  },
  p2p: {
    what: 'a device without pre-copy moves',
    golden: true,
    on: fsm,
    run: live({ settings: 'p2p,dirty-tracking' }),
  },
  multifd: {
    what: 'a device’s data goes over channels of their own',
    on: fsm,
    run: live({ settings: `${full},size=4MiB` }, { capabilities: ['multifd'] }),
  },
  'switchover-ack': {
    what: 'the source waits for the destination before it stops the guest',
    golden: true,
    on: fsm,
    run: live({ settings: `${full},initial=64KiB` }, { capabilities: ['return-path', 'switchover-ack'] }),
  },
  'container-tracking': {
    what: 'pages that a device without a log writes to are tracked by the container',
    golden: true,
    on: fsm,
    run: compared({ settings: 'pre-copy,p2p' }),
  },
}
