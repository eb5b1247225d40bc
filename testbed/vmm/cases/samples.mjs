// Streams of each QEMU with a VFIO device in them, kept for whoever reads such streams: what they were made by goes on making
// them alike.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { testbed } from '../../cache.mjs'
import { emulators } from '../../emulators.mjs'
import { dataOf } from '../../guest/qemu-stream.mjs'
import { able, done } from '../move.mjs'
import { trim } from '../trim.mjs'

const folder = join(testbed, 'vmm/samples')

/** A device that has little and changes none of it. */
const small = 'size=16KiB,dirty-rate=0'

/** The sections that have parts, however often a part came. */
const order = ({ sections }) => [...new Set(sections.map(({ kind, name }) => `${kind} ${name}`))]

/** @type {Record<string, import('../test.mjs').Case>} */
export default {
  sample: {
    what: 'a stream of QEMU looks like the one that is kept, and the device’s data are found in both',
    on: emulators,
    run: async (bed) => {
      const source = await bed.start('source', { devices: { settings: `${able(bed)},${small}` } })
      await source.booted(1)
      const path = bed.file('state')
      await source.execute('migrate', { uri: bed.generation === '7.2' ? `exec:cat > ${path}` : `file:${path}` })
      assert.deepEqual(await source.migrated(), done)
      const found = trim(readFileSync(path))
      const sample = join(folder, `qemu-${bed.generation}.gz`)
      if (bed.records) {
        mkdirSync(folder, { recursive: true })
        writeFileSync(sample, gzipSync(found.bytes, { level: 9 }))
      }
      assert.ok(existsSync(sample), `${sample} was never recorded: run the case with --record`)
      const kept = gunzipSync(readFileSync(sample))
      assert.deepEqual(order(found), order(trim(kept)))
      // Registers and pages; in pre-copy they come as often as QEMU asks.
      for (const bytes of [found.bytes, kept])
        assert.ok(dataOf(bytes).length >= 16 << 10, `${dataOf(bytes).length} bytes`)
      assert.deepEqual(trim(kept).bytes, kept, 'there is no more to take out of what is kept')
    },
  },
}
