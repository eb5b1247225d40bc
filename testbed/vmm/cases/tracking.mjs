// Whether the tests would notice pages that nobody tracks: the negative control of all the others.
import assert from 'node:assert/strict'
import { emulators } from '../../emulators.mjs'
import { buffers } from '../guest.mjs'
import { assertArrived, differing } from '../judge.mjs'
import { able, fsm, full, pair } from '../move.mjs'

/** Dirty tracking that says nothing must show in the guest's memory, and nowhere else than where devices write. */
const blind = (settingsOf) => async (bed) => {
  const settings = settingsOf(bed)
  const [source, target] = await pair(bed, { settings, blind: true }, { paused: true })
  await target.reaches('paused')
  const pages = await differing(source, target)
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
    run: blind(() => full),
  },
  'blind-container': {
    what: 'a container that tracks nothing is noticed',
    on: emulators,
    run: blind((bed) => (bed.generation === '7.2' ? able(bed) : 'pre-copy,p2p')),
  },
}
