// In a machine with a network card that vfio-pci has, on a conventional PCI bus with a device that a driver of the kernel's
// own has: the IOMMU cannot tell the two apart, so they are one group, and neither is given to anybody as long as the other
// is in use. The message names all of them.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { test } from 'node:test'
import { cli } from './cli.mjs'
import { hasCdev } from './mtty.mjs'
import { bind, driver, sysfs } from './pci.mjs'

const group = (function_) => basename(readlinkSync(`${sysfs(function_)}/iommu_group`))
const ofClass = (functions, number) =>
  functions.find((name) => readFileSync(`${sysfs(name)}/class`, 'utf8').startsWith(number))

/** The bridge is in the group too: it is what their accesses look like. */
const isFunction = (entry) => /^\d{4}:[\da-f]{2}:[\da-f]{2}\.\d$/.test(entry)
const bridge = readdirSync('/sys/bus/pci/devices').find((name) => readdirSync(sysfs(name)).some(isFunction))
const members = readdirSync(`/sys/kernel/iommu_groups/${group(bridge)}/devices`).sort()
const [card, other] = [ofClass(members, '0x0200'), members.find((name) => driver(name) === 'virtio-pci')]

const ways = hasCdev ? ['group', 'cdev'] : ['group']

const refused = (by, whole) => {
  const { status, stderr } = cli('probe', `vfio:${card}?by=${by}`)
  assert.equal(status, 3, stderr)
  const why = by === 'group' ? 'is not viable' : `${card}: others have a device of its IOMMU group ${group(card)}`
  assert.match(stderr, /ERR_VFIO_HOST: /)
  assert.ok(stderr.includes(why), stderr)
  for (const name of members) assert.ok(stderr.includes(`${name} (${driver(name) ?? 'no driver'})`), stderr)
  assert.match(stderr, whole)
}

test('the card shares its group with a device of another driver, and with the bridge', () => {
  assert.deepEqual(members, [bridge, card, other].sort())
  assert.deepEqual([driver(card), driver(other)], ['vfio-pci', 'virtio-pci'])
})

for (const by of ways) {
  test(`as long as another driver has one of the group the card is refused by ${by}, and every device is named`, () => {
    refused(by, /bind every device of (it|the group) to a VFIO driver, or to none/)
  })
}

test('doctor names them too', () => {
  const { json } = cli('doctor', `vfio:${card}`, '--json')
  const { what } = json.findings.find(({ code }) => code === 'group-not-viable')
  assert.ok(what.includes(`${other} (virtio-pci)`), what)
})

for (const by of ways) {
  for (const state of ['without a driver', 'with vfio-pci too']) {
    test(`with the other device ${state} the card is opened by ${by}`, () => {
      if (driver(other) !== undefined) writeFileSync(`${sysfs(other)}/driver/unbind`, other)
      if (state === 'with vfio-pci too') assert.ok(bind(other))
      const { status, stderr } = cli('probe', `vfio:${card}?by=${by}`)
      assert.equal(status, 3)
      // It has no migration: that it was opened shows in the reason.
      assert.match(stderr, /ERR_VFIO_UNSUPPORTED: .*has no migration/)
    })
  }
}
