// What only the newest QEMU can: two devices in a machine, character devices with iommufd, new initial data.
import assert from 'node:assert/strict'
import { barrierBroken } from '../judge.mjs'
import { compared, fsm, full, judge, live, pair } from '../move.mjs'

const two = ['seed=1', 'seed=2']

/** @type {Record<string, import('../test.mjs').Case>} */
export default {
  'two-devices': {
    what: 'two devices of a machine move, and no device stops before all are quiet',
    golden: true,
    on: fsm,
    run: async (bed) => {
      const ends = await pair(bed, { settings: full, each: two })
      await ends[1].reaches('running')
      await judge(ends)
      for (const vm of ends)
        assert.equal(barrierBroken(vm.trace), undefined, `${vm.name}'s devices were not quiet together`)
    },
  },
  cdev: {
    what: 'a device that is opened by its character device moves, and tracks its pages itself',
    golden: true,
    on: ['11.1'],
    run: compared({ settings: full, cdev: true }),
  },
  'cdev-passed': {
    what: 'QEMU takes devices whose descriptors it was started with',
    on: ['11.1'],
    run: compared({ settings: full, each: two, cdev: true, passed: 'inherited' }),
  },
  'cdev-sent': {
    what: 'QEMU takes devices whose descriptors somebody else sends to its monitor',
    on: fsm,
    // Only this machine takes devices on its first bus when it is there already.
    run: compared({ settings: full, each: two, cdev: true, passed: 'sent' }, { machine: 'pc' }),
  },
  'cdev-two-devices': {
    what: 'two such devices move together',
    on: ['11.1'],
    run: live({ settings: full, each: two, cdev: true }),
  },
  'iommufd-tracking': {
    what: 'pages that a device without a log writes to are tracked by iommufd',
    golden: true,
    on: ['11.1'],
    run: compared({ settings: 'pre-copy,p2p', cdev: true }),
  },
  reinit: {
    what: 'a device that has new initial data in pre-copy says so, and moves',
    on: ['11.1'],
    run: async (bed) => {
      const capabilities = ['return-path', 'switchover-ack']
      const ends = await pair(bed, { settings: `${full},reinit-after=2` }, { capabilities })
      const [source, target] = ends
      await target.reaches('running')
      const told = source.trace.of('pre-copy-info').filter((line) => line.gave.includes('reinit'))
      assert.notEqual(told.length, 0, 'the device never said that it has new initial data')
      await judge(ends)
    },
  },
}
