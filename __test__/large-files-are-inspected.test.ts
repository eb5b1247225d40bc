// Files that are larger than what looks into them needs. They are sparse: zeros take no room on the disk. They have 256 MiB,
// or with VFIO_MIGRATION_TEST_LARGE=1 in the environment the 4 GiB that the promise speaks of.
import test from 'ava'
import { lastJson } from './support/cli.js'
import { type Piece, qemuOfZeros, streamOfZeros, write } from './support/migration-files.js'
import { runWithPeak } from './support/peak.js'
import { temporary } from './support/temporary.js'

const large = process.env.VFIO_MIGRATION_TEST_LARGE === '1' ? 4096 : 256
/** By how much memory may grow with the size of a file. */
const most = 64 << 20

type Shown = { outline: { objects: { bytes: number; complete: boolean }[]; size: number; damage?: { at: number } } }

const kinds: Record<string, (count: number) => Iterable<Piece>> = {
  stream: streamOfZeros,
  ...qemuOfZeros,
  'of nothing that is known': (count) => [count * 2 ** 20],
}
const data = new Set(['stream', 'device', 'connection', 'memory'])

for (const [kind, pieces] of Object.entries(kinds)) {
  test(`memory does not grow with a large file: ${kind}`, async (t) => {
    // A run reads 4 GiB, and others run beside it.
    t.timeout(600_000)
    const file = await temporary(t)
    const look = async (count: number) => {
      const size = await write(file(`${count}`), pieces(count))
      const ran = await runWithPeak('inspect', file(`${count}`), '--json')
      const { outline } = lastJson(ran) as Shown
      t.is(outline.size, size)
      t.is(outline.damage === undefined, !kind.startsWith('of nothing'), JSON.stringify(outline.damage))
      if (data.has(kind)) t.is(outline.objects[0]?.bytes, count * 2 ** 20)
      return ran.peak
    }
    const [small, grown] = [await look(2), await look(large)]
    t.log(`${small >> 20} MiB, and ${(grown - small) / 2 ** 20} more for a file of ${large} MiB`)
    t.true(grown - small < most, `it grew from ${small} to ${grown}`)
  })
}

test('memory does not grow with large files: every frame, and two files compared', async (t) => {
  t.timeout(600_000)
  const file = await temporary(t)
  for (const count of [2, large]) await write(file(`${count}`), streamOfZeros(count))
  const frames = async (count: number) => {
    const ran = await runWithPeak('inspect', file(`${count}`), '--frames')
    // The head, the data, two ends, and the outline.
    t.true(ran.stdout.split('\n').length > count + 4)
    return ran.peak
  }
  const compared = async (count: number) => {
    const ran = await runWithPeak('inspect', '--diff', file(`${count}`), file(`${count}`))
    t.is(ran.stdout, 'the same\n')
    return ran.peak
  }
  for (const peak of [frames, compared]) {
    const [small, grown] = [await peak(2), await peak(large)]
    t.true(grown - small < most, `it grew from ${small} to ${grown}`)
  }
})
