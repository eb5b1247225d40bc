// In a machine with the project's own module: whole sessions over devices that work as they should. The data prove
// themselves: a destination checks every byte and that nothing newer is missing, and then has the source's secret.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { end, migrate, prepare, secret } from './migration.mjs'
import { hasCdev } from './mtty.mjs'
import { from, to } from './testdev.mjs'

const MIB = 1 << 20
const completed = {
  source: { outcome: 'completed', state: 'stop', code: undefined, resets: 0 },
  destination: { outcome: 'completed', state: 'running', code: undefined, resets: 0 },
}

/** Asserts that both ends completed, by their own word and by the driver's; gives them back. */
const assertMoves = async (options) => {
  const ends = await migrate(options)
  assert.equal(ends.source.error, undefined, ends.source.error?.message)
  assert.deepEqual({ source: end(ends.source), destination: end(ends.destination) }, completed)
  assert.equal(to.secret, from.secret)
  return ends
}

for (const by of hasCdev ? ['group', 'cdev'] : ['group']) {
  test(`a device moves by ${by}, and nothing is reset`, async () => {
    prepare()
    await assertMoves({ by })
    assert.equal(to.secret, secret.source)
    assert.equal(from.count('forbidden') + to.count('forbidden'), 0)
  })
}

test('a device that goes on changing moves while it does, and what arrives is exact', async () => {
  prepare({ size: 16 * MIB, initial_size: 2 * MIB, dirty_per_query: 64 << 10 })
  const { source } = await assertMoves({ saving: { downtimeBudgetMs: 0 } })
  assert.ok(from.count('precopy-info') > 2, 'it was asked again and again')
  assert.ok(source.summary.bytes > BigInt(16 * MIB), 'what changed was sent again')
})

test('a device that comes to rest converges', async () => {
  prepare({ initial_size: MIB, dirty_per_query: 8192, dirty_queries: 3 })
  const { source } = await assertMoves({ saving: { downtimeBudgetMs: 0 } })
  assert.equal(source.summary.preCopyEnd, 'converged')
})

test('new initial data makes the old void, where the kernel can say so', async () => {
  prepare({ initial_size: 64 << 10, reinit_at: 2, dirty_per_query: 4096, dirty_queries: 4 })
  const { source } = await assertMoves({ saving: { downtimeBudgetMs: 0 } })
  const reinits = source.events.filter(({ type }) => type === 'reinit')
  const told = process.env.TESTBED_KERNEL !== '6.12'
  assert.equal(reinits.length, told ? 1 : 0)
  assert.equal(from.secret === secret.source, !told)
})

test('a device with more data than all buffers moves', async () => {
  const size = 96 * MIB
  prepare({ size })
  const { source, destination } = await assertMoves()
  assert.ok(source.summary.bytes > BigInt(size))
  assert.equal(destination.summary.bytes, source.summary.bytes)
})

test('a driver that does not know how much it has is asked nothing more about it', async () => {
  for (const data_size_mode of [1, 2]) {
    prepare({ data_size_mode })
    const { source } = await assertMoves()
    assert.equal(source.summary.objects[0].expected, undefined)
  }
})

test('calls that are interrupted or take little at a time lose nothing', async () => {
  prepare()
  from.fault('arc:running>pre-copy 1 errno 4')
  from.fault('read 2 errno 4')
  from.fault('read 4+ short 999')
  to.fault('arc:stop>resuming 1 errno 4')
  to.fault('write 2 errno 4')
  to.fault('write 3+ short 1001')
  await assertMoves()
  assert.ok([...from.struck, ...to.struck].every((times) => times > 0))
})
