// In a machine: what stands in it.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { release } from 'node:os'
import { basename } from 'node:path'
import { test } from 'node:test'
import { createMdev, group, hasCdev, removeMdev, uart } from './mtty.mjs'

const { TESTBED_KERNEL, TESTBED_SET, TESTBED_MODULES } = process.env

test('the kernel is of the generation that was asked for', () => {
  assert.ok(release().startsWith(`${TESTBED_KERNEL}.`), release())
})

test('there is iommufd on the rebuilt set, and only there', () => {
  assert.equal(hasCdev, TESTBED_SET === 'hybrid')
  assert.equal(existsSync('/sys/module/iommufd'), TESTBED_SET === 'hybrid')
  assert.equal(existsSync('/sys/kernel/debug/vfio'), TESTBED_SET === 'hybrid')
})

test('every module of the set is at hand', () => {
  const order = readFileSync(`${TESTBED_MODULES}/order`, 'utf8').trim().split('\n')
  assert.ok(order.includes('mtty'))
  for (const name of order) assert.ok(existsSync(`${TESTBED_MODULES}/${name}.ko`), name)
})

test('an mtty opens by its group, and keeps what its port was sent over a close', (t) => {
  const uuid = createMdev(t)
  assert.ok(existsSync(`/dev/vfio/${group(uuid)}`))
  uart(uuid, 0, 'send', 'kept')
  uart(uuid, 1, 'scratch', 77)
  assert.equal(uart(uuid, 0, 'receive'), 'kept')
  assert.equal(uart(uuid, 1, 'scratch'), '77\n')
  assert.equal(uart(uuid, 0, 'scratch'), '0\n')
  assert.equal(readdirSync(`/sys/bus/mdev/devices/${uuid}`).includes('vfio-dev'), true)
  removeMdev(uuid)
  assert.ok(!existsSync(`/sys/bus/mdev/devices/${uuid}`))
})

test('the network card is vfio-pci’s, in a group of its own behind an IOMMU', () => {
  const folder = '/sys/bus/pci/drivers/vfio-pci'
  const bound = readdirSync(folder).filter((name) => /^\d{4}:/.test(name))
  assert.equal(bound.length, 1)
  const number = basename(readlinkSync(`${folder}/${bound[0]}/iommu_group`))
  assert.deepEqual(readdirSync(`/sys/kernel/iommu_groups/${number}/devices`), bound)
  assert.ok(existsSync(`/dev/vfio/${number}`))
})
