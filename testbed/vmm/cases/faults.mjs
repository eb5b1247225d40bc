// A device fails at one call: what QEMU makes of it is what was recorded, and we do no worse.
import assert from 'node:assert/strict'
import { setup } from '../../../scripts/setup.mjs'
import { ours } from '../faults/ours.mjs'
import { badness, textOf } from '../faults/outcome.mjs'
import { isShown, record, recorded } from '../faults/record.mjs'
import { rows } from '../faults/rows.mjs'
import { theirs } from '../faults/theirs.mjs'

const judged = (outcome) => ({ text: textOf(outcome), badness: badness(outcome) })

const run = (id, row) => async (bed) => {
  setup(['packages', 'native', 'typescript'])
  const found = { [bed.generation]: judged(await theirs(bed, row)) }
  if (row.ours !== undefined) found.ours = judged(await ours(bed.folder, row))
  if (bed.records) for (const [client, outcome] of Object.entries(found)) record(id, client, outcome)
  const known = recorded()[id]
  for (const [client, outcome] of Object.entries(found)) {
    const all = known?.[client]
    if (Array.isArray(all))
      assert.ok(
        all.some(({ text }) => text === outcome.text),
        `${id}: ${client}: ${outcome.text}`,
      )
    else assert.deepEqual(outcome, all, `${id}: ${client}`)
  }
  if (found.ours === undefined) return
  assert.ok(found.ours.badness < 2, `ours: ${found.ours.text}`)
  // Of what chance decides nobody may count on the better.
  const worst = Math.max(...[known[bed.generation]].flat().map(({ badness }) => badness))
  assert.ok(found.ours.badness <= worst, `ours: ${found.ours.text}, worse than QEMU's`)
}

/** @type {Record<string, import('../test.mjs').Case>} */
export default {
  ...Object.fromEntries(
    Object.entries(rows).map(([id, row]) => [
      `fault, ${id}`,
      {
        what: 'what becomes of a guest whose device fails is what was recorded, and nothing worse becomes of ours',
        on: row.on,
        rare: row.rare,
        run: run(id, row),
      },
    ]),
  ),
  'fault-table': {
    what: 'docs/qemu-faults.md shows what is recorded',
    on: ['11.1'],
    run: async () => assert.ok(isShown(), 'record a case anew, which writes the document'),
  },
}
