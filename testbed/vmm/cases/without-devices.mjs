// The test bed itself: the guest runs, moves and goes on in every QEMU, without any device.
import assert from 'node:assert/strict'
import { emulators } from '../../emulators.mjs'
import { differing } from '../judge.mjs'

/** @type {Record<string, import('../test.mjs').Case>} */
export default {
  'no-device': {
    what: 'a guest without a device moves, and its memory is the same at both ends',
    on: emulators,
    run: async (bed) => {
      const source = await bed.start('source')
      const target = await bed.start('target', { incoming: true, paused: true })
      const before = await source.booted(0)
      const uri = `unix:${bed.file('socket')}`
      await target.execute('migrate-incoming', { uri })
      await source.execute('migrate', { uri })
      assert.deepEqual(await source.migrated(), { status: 'completed', why: undefined })
      await target.reaches('paused')
      assert.deepEqual(await differing(source, target), [])
      await target.execute('cont')
      const after = await target.works()
      assert.ok(after.rounds > before.rounds && after.errors === 0, JSON.stringify({ before, after }))
      for (const vm of [source, target]) assert.deepEqual(await vm.quit(), { code: 0, signal: null })
    },
  },
}
