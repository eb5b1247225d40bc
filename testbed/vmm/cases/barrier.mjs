// Where QEMU 11.1 breaks the barrier of the quiet states itself: devices of one machine go back after a failure one by one.
import assert from 'node:assert/strict'
import { barrierBroken } from '../judge.mjs'
import { full } from '../move.mjs'

/** A move of two devices, of which the one that is asked first fails once; the line at which the barrier was broken. */
const failing = async (bed, fault) => {
  const devices = { settings: full, each: ['seed=1', 'seed=2'] }
  const source = await bed.start('source', { devices: { ...devices, each: ['seed=1', `seed=2,fault=${fault}`] } })
  await source.booted(2)
  const target = await bed.start('target', { devices, incoming: true })
  assert.equal((await bed.move(source, target)).status, 'failed')
  await source.reaches('running')
  return barrierBroken(source.trace)
}

const faults = { 'while devices become quiet': 'set-state@1/pre-copy:EIO', 'in stop-copy': 'read@1/stop-copy:EIO' }

/** @type {Record<string, import('../test.mjs').Case>} */
export default {
  'barrier-broken': {
    what: 'after a failure QEMU 11.1 lets one device run while the other is still in stop-copy',
    on: ['11.1'],
    run: async (bed) => {
      const broken = await failing(bed, faults['in stop-copy'])
      assert.ok(broken, 'the barrier held: QEMU does better than it did')
      assert.equal(broken.line.with[0], 'running')
      assert.deepEqual(Object.values(broken.states).sort(), ['running', 'stop-copy'])
    },
  },
  'barrier-broken-early': {
    what: 'the same after a device that failed to become quiet, and was reset',
    on: ['11.1'],
    run: async (bed) => {
      const broken = await failing(bed, faults['while devices become quiet'])
      assert.ok(broken, 'the barrier held: QEMU does better than it did')
      assert.deepEqual(broken.states, { 0: 'stop-copy', 1: 'running' })
    },
  },
  'barrier-kept': {
    what: 'QEMU 10.0 goes back through the quiet states after a failure',
    on: ['10.0'],
    run: async (bed) => assert.equal(await failing(bed, faults['while devices become quiet']), undefined),
  },
}
