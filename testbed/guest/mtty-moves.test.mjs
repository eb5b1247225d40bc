// In a machine with mtty: what a device holds is saved and restored by the command line, by every way that the kernel has,
// from here to here and out of files that other kernels wrote; judged by the device and by what its driver says.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cli } from './cli.mjs'
import { assertGolden } from './golden.mjs'
import { assertHolds, createMdev, driverLog, fill, hasCdev } from './mtty.mjs'
import { dataOf, piecesOf } from './stream.mjs'

const { TESTBED_KERNEL, TESTBED_SET, TESTBED_SHARE } = process.env
const here = `${TESTBED_KERNEL}-${TESTBED_SET}`
const ways = hasCdev ? ['group', 'cdev'] : ['group']

/** Runs a command that must succeed, and gives back what the driver of the device said meanwhile. */
const succeed = (uuid, ...args) => {
  driverLog(uuid)
  const { status, stderr, json } = cli(...args, '--json')
  assert.equal(status, 0, stderr)
  assert.equal(json.ok, true)
  return driverLog(uuid)
}

const save = (uuid, way, file) => succeed(uuid, 'save', `port=mdev:${uuid}?by=${way}`, '--to', file)
const restore = (uuid, way, file) =>
  succeed(uuid, 'restore', `port=mdev:${uuid}?by=${way}`, '--from', file, '--then', 'run')

for (const way of ways) {
  test(`saved by ${way}, restored by ${way}, saved again: the same bytes, and no reset`, (t) => {
    const [source, destination] = [createMdev(t), createMdev(t)]
    fill(source, `${here}/${way}`)
    const file = join(TESTBED_SHARE, `mtty-${here}-${way}`)
    assertGolden('our-save', save(source, way, file))
    assertGolden('our-restore', restore(destination, way, file))
    const again = join(TESTBED_SHARE, `again-${here}-${way}`)
    save(destination, way, again)
    const [before, after] = [file, again].map((path) => dataOf(readFileSync(path), 'port'))
    assert.ok(before.length > 0)
    assert.deepEqual(after, before)
    assertHolds(destination, `${here}/${way}`)
  })
}

// The suite starts the machines one after another: each finds what those before it have saved.
const others = readdirSync(TESTBED_SHARE).filter((name) => name.startsWith('mtty-'))
for (const name of others.filter((one) => !one.startsWith(`mtty-${here}-`))) {
  const [, where, way] = name.match(/^mtty-(.*)-(group|cdev)$/)
  for (const back of ways) {
    test(`saved on ${where} by ${way}, restored here by ${back}`, (t) => {
      const destination = createMdev(t)
      assertGolden('our-restore', restore(destination, back, join(TESTBED_SHARE, name)))
      assertHolds(destination, `${where}/${way}`)
    })
  }
}

test('damaged data are found, and the device is reset and takes others', (t) => {
  const [source, destination] = [createMdev(t), createMdev(t)]
  fill(source, `${here}/group`)
  const file = join(TESTBED_SHARE, `damaged-${here}`)
  save(source, 'group', file)
  const bytes = readFileSync(file)
  const { at, length } = piecesOf(bytes, 'port').at(-1)
  bytes[at + length - 1] ^= 0x10
  writeFileSync(`${file}.bad`, bytes)
  driverLog(destination)
  const { status, json } = cli('restore', `port=mdev:${destination}`, '--from', `${file}.bad`, '--json')
  assert.equal(status, 1)
  assert.equal(json.ok, false)
  assert.equal(json.error.code, 'ERR_VFIO_STREAM_CORRUPT')
  assert.equal(driverLog(destination).filter((line) => line === 'reset').length, 1)
  restore(destination, 'group', file)
  assertHolds(destination, `${here}/group`)
})
