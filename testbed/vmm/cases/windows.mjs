// A region device moves in QEMU 7.2, however its window is reached.
import assert from 'node:assert/strict'
import { able, compared } from '../move.mjs'

const on = ['7.2']

/**
 * A device that changes nothing of its own while it is saved: 8 bytes at a time is so slow that one which goes on changing
 * is never done.
 */
const still = 'size=512KiB,dirty-rate=0'

/** A move with a window of this kind; how many times its bytes were read and written one access after the other. */
const through = (mmap) => async (bed) => {
  const [source, target] = await compared({ settings: `${able(bed)},mmap=${mmap},${still}` })(bed)
  return { reads: source.trace.count('read-window'), writes: target.trace.count('write-window') }
}

/** @type {Record<string, import('../test.mjs').Case>} */
export default {
  'window-by-accesses': {
    what: 'a window that cannot be mapped is read and written by accesses',
    on,
    run: async (bed) => {
      const { reads, writes } = await through('none')(bed)
      assert.ok(reads > 0 && writes > 0, JSON.stringify({ reads, writes }))
    },
  },
  'window-mapped': {
    what: 'a window that is mapped is never accessed otherwise',
    on,
    run: async (bed) => assert.deepEqual(await through('whole')(bed), { reads: 0, writes: 0 }),
  },
  'window-sparse': {
    what: 'a window of which parts can be mapped is reached both ways',
    on,
    run: async (bed) => {
      const { reads, writes } = await through('sparse')(bed)
      assert.ok(reads > 0 && writes > 0, JSON.stringify({ reads, writes }))
    },
  },
}
