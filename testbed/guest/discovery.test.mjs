// In a machine with mtty and a network card bound to vfio-pci: the command line finds what is there, says what each can do,
// and refuses with a reason and a remedy what cannot be served.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cli, program } from './cli.mjs'
import { createMdev, driverLog, group, hasCdev } from './mtty.mjs'

const { STATE, TESTBED_SHARE } = process.env

const card = readdirSync('/sys/bus/pci/drivers/vfio-pci').find((name) => /^\d{4}:/.test(name))
const out = join(TESTBED_SHARE, 'refused')

/** Runs a command that must be refused: one line that says why, one remedy, this status. */
const refuse = (status, code, ...args) => {
  const ended = cli(...args, '--json')
  assert.equal(ended.status, status, ended.stderr || ended.stdout)
  assert.equal(ended.json.error.code, code, ended.json.error.message)
  assert.doesNotMatch(ended.json.error.message, /\n/)
  assert.ok(ended.json.error.remedy.length > 0)
  return `${ended.json.error.message} ${ended.json.error.remedy}`
}

test('list names every VFIO device, opens none, and knows which can migrate', (t) => {
  const uuid = createMdev(t)
  driverLog(uuid)
  const { status, json } = cli('list', '--json')
  assert.equal(status, 0)
  const devices = new Map(json.devices.map((device) => [device.name, device]))
  assert.equal(devices.get(card).driver, 'vfio-pci')
  assert.equal(devices.get(card).migration, 'no')
  assert.equal(devices.get(card).resetByOpening, true)
  assert.notEqual(devices.get(uuid).migration, 'no')
  assert.equal(devices.get(uuid).resetByOpening, false)
  assert.equal(devices.get(uuid).cdev !== undefined, hasCdev)
  assert.deepEqual(driverLog(uuid), [])
})

test('probe opens an mtty and tells what it says of itself', (t) => {
  const { status, stderr, json } = cli('probe', `mdev:${createMdev(t)}`, '--json')
  assert.equal(status, 0, stderr)
  assert.match(JSON.stringify(json), /pre-?copy/i)
})

test('doctor says why the card cannot migrate, and ends with status 3', () => {
  const { status, json } = cli('doctor', `vfio:${card}`, '--json')
  assert.equal(status, 3)
  assert.match(JSON.stringify(json), /no-migration/)
})

test('the card is refused: it would be empty, and it cannot migrate', () => {
  assert.match(refuse(2, 'ERR_VFIO_USAGE', 'save', `vfio:${card}`, '--to', out), /reset.*--fresh/)
  refuse(3, 'ERR_VFIO_UNSUPPORTED', 'save', `vfio:${card}`, '--to', out, '--fresh')
})

test('what is not there is refused', () => {
  refuse(3, 'ERR_VFIO_HOST', 'save', 'vfio:0000:7f:00.0', '--to', out)
  refuse(3, 'ERR_VFIO_HOST', 'save', 'mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001', '--to', out)
  refuse(3, 'ERR_VFIO_HOST', 'save', 'cdev:/dev/vfio/devices/vfio77', '--to', out)
})

test('a way that this kernel does not have is refused, with the one that it has', (t) => {
  const mdev = `mdev:${createMdev(t)}`
  if (hasCdev) assert.equal(cli('save', `${mdev}?by=cdev`, '--to', join(TESTBED_SHARE, mdev.slice(5))).status, 0)
  else assert.match(refuse(3, 'ERR_VFIO_HOST', 'save', `${mdev}?by=cdev`, '--to', out), /no IOMMUFD.*by=group/)
})

test('a node of somebody else is refused to who may not open it, with its mode', (t) => {
  const uuid = createMdev(t)
  const node = `/dev/vfio/${group(uuid)}`
  chownSync(node, 12345, 12345)
  chmodSync(node, 0o600)
  // Even root, if it is not allowed everything.
  const powers = '--bounding-set=-dac_override,-dac_read_search'
  const as = (...args) => spawnSync('setpriv', [powers, process.execPath, program, ...args], { encoding: 'utf8' })
  const save = as('save', `mdev:${uuid}?by=group`, '--to', out)
  assert.equal(save.status, 3, save.stderr)
  assert.match(save.stderr, /ERR_VFIO_HOST: .*permission denied.*\(.*ls -lZ/)
  const { findings } = JSON.parse(as('doctor', `mdev:${uuid}`, '--json').stdout)
  const refused = findings.filter(({ code }) => code === 'permission')
  // Where there is a cdev, that way is left.
  assert.equal(refused.length, hasCdev ? 0 : 1)
  if (!hasCdev) assert.match(refused[0].what, /EACCES \(mode 600, user 12345, group 12345\)/)
})

test('what is no address is wrong usage', () => {
  for (const address of ['vfio:00:1f', 'vfio:', 'mdev:not-a-uuid', 'vfio:0000:00:04.0?vf_token=1']) {
    assert.equal(cli('save', address, '--to', out, '--json').status, 2, address)
  }
})

test('a device that somebody else has open is refused, and left as it is', async (t) => {
  let child
  // Before the device is made, and so before it is removed: that waits for whoever has it open.
  t.after(() => child?.kill('SIGKILL'))
  const uuid = createMdev(t)
  child = spawn(STATE, [`/sys/bus/mdev/devices/${uuid}`, uuid, '6'], { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  driverLog(uuid)
  assert.match(refuse(3, 'ERR_VFIO_HOST', 'save', `mdev:${uuid}`, '--to', out), /use|open/)
  assert.deepEqual(driverLog(uuid), [])
  const { json } = cli('list', '--json')
  const { inUse, holders } = json.devices.find(({ name }) => name === uuid)
  assert.equal(inUse, 'yes')
  assert.deepEqual(
    holders.map(({ pid }) => pid),
    [child.pid],
  )
})
