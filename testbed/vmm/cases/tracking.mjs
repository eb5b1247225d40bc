// Whether the tests would notice pages that nobody tracks: the negative control of all the others.
import assert from 'node:assert/strict'
import { emulators } from '../../emulators.mjs'
import { buffers } from '../guest.mjs'
import { assertArrived } from '../judge.mjs'
import { able, fsm, full, pair } from '../move.mjs'

const page = 4096

/** The addresses of the pages in which two memories differ. */
const differing = (one, other) =>
  one.flatMap(({ from, bytes }, piece) => {
    const found = []
    for (let at = 0; at < bytes.length; at += page) {
      if (!bytes.subarray(at, at + page).equals(other[piece].bytes.subarray(at, at + page))) found.push(from + at)
    }
    return found
  })

/** Dirty tracking that says nothing must show in the guest's memory, and nowhere else than where devices write. */
const blind = (settingsOf) => async (bed) => {
  const settings = settingsOf(bed)
  const [source, target] = await pair(bed, { settings, blind: true }, { paused: true })
  await target.reaches('paused')
  const pages = differing(await source.memoryBytes(), await target.memoryBytes())
  assert.notEqual(pages.length, 0, 'nothing tells that the tracker was blind')
  const outside = pages.filter((at) => at < buffers.first || at >= buffers.first + buffers.size)
  assert.deepEqual(outside, [], 'the guest’s memory differs where no device writes')
  await target.execute('cont')
  await target.reaches('running')
  assertArrived(source.trace, target.trace)
}

/** @type {Record<string, import('../test.mjs').Case>} */
export default {
  'blind-device': {
    what: 'a log of the device that says nothing is noticed',
    on: fsm,
    quick: ['11.1'],
    run: blind(() => full),
  },
  'blind-container': {
    what: 'a container that tracks nothing is noticed',
    on: emulators,
    quick: ['7.2'],
    run: blind((bed) => (bed.generation === '7.2' ? able(bed) : 'pre-copy,p2p')),
  },
}
