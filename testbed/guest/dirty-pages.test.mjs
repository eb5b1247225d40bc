// In a machine, started by the program `dma`, which holds a device of our own and has mapped memory for it: what the device
// writes to is reported, by the device's own log where the kernel can report it, by the container's where that was lent.
import assert from 'node:assert/strict'
import { readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isVfioError, openDevice, trackDirty } from '../../ts/dist/index.js'

const { WAY, DEVICE, BESIDE, REGION, IOVA, LENGTH, TESTBED_SET } = process.env
const fd = Number(DEVICE)
const range = { iova: BigInt(IOVA), length: BigInt(LENGTH) }
const descriptors = { fd, beside: BESIDE.split(',').map(Number), device: 'vfio:platform/vfio-testdev.0' }
/** The kernel reports a device's own log only where it has iommufd. */
const ownLog = TESTBED_SET === 'hybrid'
const knobs = '/sys/kernel/debug/vfio-testdev/vfio-testdev.0'

const registers = { iova: 0x10, length: 0x18, period: 0x20, control: 0x28, seed: 0x30, written: 0x40 }
const at = (register) => Number(REGION) + registers[register]
const setRegister = (register, value) =>
  writeSync(fd, new Uint8Array(BigUint64Array.of(BigInt(value)).buffer), 0, 8, at(register))
const register = (name) => {
  const value = new BigUint64Array(1)
  readSync(fd, new Uint8Array(value.buffer), 0, 8, at(name))
  return value[0]
}

/**
 * Lets the device write so often, and stops it. It writes on a thread of the kernel: on one of this process the memory of
 * another would be refused (`vfio_dma_rw`), which a doorbell would come to.
 */
const written = async (writes) => {
  const until = register('written') + BigInt(writes)
  setRegister('control', 1)
  while (register('written') < until) await sleep(2)
  setRegister('control', 0)
  for (let before = -1n; before !== register('written'); await sleep(10)) before = register('written')
}
const truth = () =>
  readFileSync(`${knobs}/truth`, 'utf8')
    .trim()
    .split('\n')
    .filter(Boolean)
    .flatMap((line) => pagesOf(...line.split(' ').map((word) => BigInt(`0x${word.replace(/^0x/, '')}`))))
const pagesOf = (iova, length) =>
  Array.from({ length: Number(length / 4096n) }, (_, page) => iova / 4096n + BigInt(page))
const counted = (name) =>
  Number(readFileSync(`${knobs}/counts`, 'utf8').match(new RegExp(`^${name} (\\d+)$`, 'm'))?.[1] ?? 0)
const collect = async (log, into) => {
  for await (const { iova, length } of log.drain()) for (const page of pagesOf(iova, length)) into.add(page)
}

setRegister('iova', range.iova)
setRegister('length', range.length)
setRegister('seed', 11)
setRegister('period', 200)

/** Opens the device with what is lent, and tracks; whatever comes of it, the log is closed with the device. */
const tracked = async (tracking, use) => {
  const device = await openDevice(descriptors, tracking ? { tracking } : {})
  try {
    assert.ok(device.supports('dirty-tracking'))
    for (const file of ['truth', 'counts']) writeFileSync(`${knobs}/${file}`, '0')
    await use(await trackDirty(device, { ranges: [range] }))
  } finally {
    await device.close()
  }
}

/** All that the device writes while it is tracked is reported. */
const isComplete = async (log) => {
  const reported = new Set()
  for (let round = 0; round < 10; round++) {
    await written(2000)
    await collect(log, reported)
  }
  const pages = truth()
  assert.ok(pages.length > 4000, `${pages.length} pages were written`)
  assert.deepEqual(
    pages.filter((page) => !reported.has(page)),
    [],
  )
  console.log(`${WAY}: ${pages.length} pages written, ${reported.size - pages.length} more reported`)
}

const unsupported = (error) => isVfioError(error, 'ERR_VFIO_UNSUPPORTED') && error.details.errno === 'EOPNOTSUPP'
const lost = (error) => isVfioError(error, 'ERR_VFIO_MEMORY_FAILED')

test('what the caller did not lend is left alone', async () => {
  if (ownLog) return tracked(undefined, isComplete)
  await assert.rejects(tracked(undefined, isComplete), unsupported)
})

if (WAY === 'group') {
  test('the device’s own log is used where it works, else the container’s that was lent', async () => {
    await tracked({ of: 'container' }, isComplete)
    assert.deepEqual([counted('log-start'), counted('log-stop')], [1, 1])
  })

  test('a container that nobody started is not started for a caller who says that he has', {
    skip: ownLog,
  }, async () => {
    await assert.rejects(
      tracked({ of: 'container', started: 4096 }, (log) => collect(log, new Set())),
      lost,
    )
  })
}

if (WAY === 'group-tracked') {
  test('the log of a container that the caller has started is read, and never stopped', async () => {
    await tracked({ of: 'container', started: 4096 }, isComplete)
    await tracked({ of: 'container', started: 4096 }, isComplete)
  })
}

if (WAY === 'cdev') {
  test('a window of a log leaves the rest', async () => {
    await tracked(undefined, async (log) => {
      await written(5000)
      const half = range.length / 2n
      const lower = await log.snapshot({ iova: range.iova, length: half })
      const reported = new Set([...lower].flatMap(({ iova, length }) => pagesOf(iova, length)))
      assert.equal(lower.count(), reported.size)
      assert.ok([...reported].every((page) => page * 4096n < range.iova + half))
      await collect(log, reported)
      assert.deepEqual([...reported].sort(), truth().sort(), 'the log of our device is exact')
    })
  })

  test('a page table that is lent is not needed where the device’s own log works', async () => {
    await tracked({ of: 'page-table', id: 4711 }, isComplete)
  })

  test('a container is not there', async () => {
    const noContainer = (error) => isVfioError(error, 'ERR_VFIO_USAGE') && /no container/.test(error.message)
    await assert.rejects(openDevice(descriptors, { tracking: { of: 'container' } }), noContainer)
  })
}
