// In a machine with iommufd's own test devices, started by the program `dma`: the dirty tracking of a page table that belongs
// to the caller is read from TypeScript where it was lent. Which pages were written to is known: the program `mark` does it,
// through the made-up device behind that page table.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { isVfioError, openDevice, trackDirty } from '../../ts/dist/index.js'

const { WAY, MARK, DEVICE, BESIDE, IOVA, LENGTH, PAGE_TABLE } = process.env
const range = { iova: BigInt(IOVA), length: BigInt(LENGTH) }
const iommufd = Number(BESIDE)
const descriptors = { fd: Number(DEVICE), beside: [iommufd], device: 'vfio:platform/vfio-testdev.0' }
const started = WAY === 'page-table-tracked' ? { started: 4096 } : {}

let seed = 0
/** The numbers of the pages that the made-up device has just written to. */
const write = () => {
  seed += 1
  const printed = execFileSync(MARK, [PAGE_TABLE, IOVA, LENGTH, String(seed)], {
    encoding: 'utf8',
    stdio: [iommufd, 'pipe', 'pipe'],
  })
  const pages = printed.trimEnd().split('\n').map(BigInt)
  assert.ok(pages.length > 500, `${pages.length} pages were written`)
  return pages
}

/** The numbers of the pages that are reported, in their order. */
const drained = async (log) => {
  const pages = []
  for await (const { iova, length } of log.drain()) {
    for (let at = iova; at < iova + length; at += 4096n) pages.push(at / 4096n)
  }
  return pages
}

const tracked = async (tracking, use) => {
  const device = await openDevice(descriptors, { tracking })
  try {
    await use(await trackDirty(device, { ranges: [range] }))
  } finally {
    await device.close()
  }
}

test('what is written through a page table that was lent is reported, exactly and once', async () => {
  for (let round = 0; round < 2; round++) {
    await tracked({ of: 'page-table', id: Number(PAGE_TABLE), ...started }, async (log) => {
      for (let times = 0; times < 5; times++) {
        const pages = write()
        assert.deepEqual(await drained(log), pages)
        assert.deepEqual(await drained(log), [])
      }
    })
  }
})

test('the log goes on for who has started it, and ends with one that we started', () => {
  // Pages can be marked only in a table that tracks.
  if (WAY === 'page-table-tracked') write()
  else assert.throws(write, /EINVAL|Invalid argument/)
})

test('a page table that is not there is refused', async () => {
  const tracking = { of: 'page-table', id: 4711, ...started }
  const failed = (error) => isVfioError(error, 'ERR_VFIO_MEMORY_FAILED') && /ENOENT/.test(error.message)
  await assert.rejects(tracked(tracking, drained), failed)
})

test('the device has no log of its own here, and without what is lent there is nothing to track with', async () => {
  const device = await openDevice(descriptors)
  try {
    assert.ok(!device.supports('dirty-tracking'))
  } finally {
    await device.close()
  }
})
