// In a machine with mtty and an unmodified QEMU: what QEMU saves of the device, QEMU restores, and so do we; and what we
// save goes back into QEMU's file and is taken by QEMU. The driver's log says what each of them does to the device.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cli } from './cli.mjs'
import { assertGolden } from './golden.mjs'
import { assertHolds, createMdev, driverLog, fill } from './mtty.mjs'
import { Qemu } from './qemu.mjs'
import * as theirs from './qemu-stream.mjs'
import * as ours from './stream.mjs'

const file = (name) => join(process.env.TESTBED_SHARE, name)
const where = `qemu ${process.env.TESTBED_KERNEL}`

/** Lets QEMU load a file into a device, and run; what its driver said while it did. */
const load = async (uuid, path) => {
  const qemu = await Qemu.start(uuid, '-incoming', 'defer')
  try {
    driverLog(uuid)
    await qemu.execute('migrate-incoming', { uri: `file:${path}` })
    await qemu.migrated('running')
    const log = driverLog(uuid)
    await qemu.quit()
    return log
  } finally {
    qemu.kill()
  }
}

const command = (...args) => {
  const { status, stderr } = cli(...args, '--json')
  assert.equal(status, 0, stderr)
}

test('QEMU saves a device that we filled, as it always did', async (t) => {
  const uuid = createMdev(t)
  fill(uuid, where)
  const qemu = await Qemu.start(uuid)
  try {
    driverLog(uuid)
    await qemu.execute('migrate', { uri: `file:${file('qemu')}` })
    await qemu.migrated('postmigrate')
    assertGolden('qemu-saves', driverLog(uuid))
    await qemu.quit()
  } finally {
    qemu.kill()
  }
})

test('QEMU restores it into a second device', async (t) => {
  const uuid = createMdev(t)
  assertGolden('qemu-restores', await load(uuid, file('qemu')))
  assertHolds(uuid, where)
})

test('we restore what QEMU saved, save it again, and QEMU restores that', async (t) => {
  const [template, between, last] = [createMdev(t), createMdev(t), createMdev(t)]
  const saved = readFileSync(file('qemu'))
  // A stream of ours of another device, into which QEMU's data go.
  fill(template, 'template')
  command('save', `port=mdev:${template}`, '--to', file('template'))
  const data = theirs.dataOf(saved)
  writeFileSync(file('ours'), ours.withData(readFileSync(file('template')), 'port', data))
  command('restore', `port=mdev:${between}`, '--from', file('ours'), '--then', 'run')
  command('save', `port=mdev:${between}`, '--to', file('again'))
  const again = ours.dataOf(readFileSync(file('again')), 'port')
  assert.deepEqual(again, data)
  assertHolds(between, where)
  // The text was received from the device that lies between; its data still have it.
  writeFileSync(file('back'), theirs.withData(saved, again))
  await load(last, file('back'))
  assertHolds(last, where)
})
