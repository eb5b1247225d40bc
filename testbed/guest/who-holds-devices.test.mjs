// In a machine: what can be seen of devices that nobody, or somebody else, has open, and how they pass from one program to
// another: the sample driver's mdev, and a network card that vfio-pci has.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createMdev, group, hasCdev } from './mtty.mjs'

const main = fileURLToPath(new URL('../../ts/dist/cli/main.js', import.meta.url))
const hybrid = process.env.TESTBED_SET === 'hybrid'
const uuid = createMdev({ after })
const mdev = `mdev:${uuid}`
const card = `vfio:${readdirSync('/sys/bus/pci/drivers/vfio-pci').find((name) => /^\d{4}:/.test(name))}`

const run = (...args) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}
const json = (...args) => {
  const { stdout, stderr } = run(...args, '--json')
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout.trim().split('\n').at(-1))
}
const listed = (address) => json('list').devices.find((device) => device.address === address)

test('list sees both devices, and what debugfs knows of them', () => {
  const sample = listed(mdev)
  assert.equal(sample.driver, 'mtty')
  assert.equal(sample.cdev !== undefined, hasCdev)
  assert.equal(sample.group.node, `/dev/vfio/${group(uuid)}`)
  assert.equal(sample.group.noIommu, false)
  assert.equal(sample.migration, hybrid ? 'yes' : 'likely')
  assert.equal(sample.resetByOpening, false)
  const network = listed(card)
  assert.deepEqual([network.migration, network.p2p, network.resetByOpening], ['no', 'no', true])
  assert.deepEqual([sample.inUse, network.inUse], ['no', 'no'])
})

test('doctor has nothing against the mdev but that a stock kernel lacks iommufd', () => {
  const { able, findings } = json('doctor', mdev)
  assert.equal(able, true)
  assert.deepEqual(
    findings.map(({ code }) => code),
    hybrid ? [] : ['no-iommufd'],
  )
  const { status, stdout } = run('doctor', card)
  assert.equal(status, 3)
  assert.match(stdout, /^blocks +vfio:\S+ +no-migration +vfio-pci cannot migrate/m)
})

test('a device whose group somebody has open is in use, and never probed', () => {
  const fd = openSync(`/dev/vfio/${group(uuid)}`, 'r+')
  try {
    const { inUse, holders } = listed(mdev)
    assert.equal(inUse, 'yes')
    assert.deepEqual(
      holders.map(({ pid }) => pid),
      [process.pid],
    )
    const { status, stderr } = run('probe', mdev)
    assert.equal(status, 3)
    assert.match(stderr, new RegExp(`ERR_VFIO_HOST: .*in use by .*pid ${process.pid}`))
  } finally {
    closeSync(fd)
  }
  assert.equal(listed(mdev).inUse, 'no')
})

test('probe opens what nobody has', () => {
  const probed = json('probe', mdev)
  assert.deepEqual([probed.protocol, probed.state, probed.holding.by], ['fsm', 'running', hasCdev ? 'cdev' : 'group'])
  assert.ok(probed.capabilities.includes('p2p') && probed.capabilities.includes('pre-copy'))
  const { status, stderr } = run('probe', card)
  assert.equal(status, 3)
  assert.match(stderr, /opening \S+ resets it/)
  assert.match(stderr, /ERR_VFIO_UNSUPPORTED: .*has no migration/)
  assert.equal(run('probe', 'vfio:0000:77:00.0').status, 3)
})

test('save refuses a PCI function that nobody holds, and says why', () => {
  const { status, stderr } = run('save', card, '--to', join(tmpdir(), 'card'))
  assert.equal(status, 2)
  assert.match(stderr, /resets it when it is opened afresh.*--fresh/)
})

const file = join(tmpdir(), 'mtty.state')

test('save and restore move an mdev, and --exec hands it to a program', () => {
  const saved = run('save', mdev, '--to', file)
  assert.equal(saved.status, 0, saved.stderr)
  const program = `"${process.execPath}" "${main}" probe "fd:unix:$VFIO_MIGRATION_SOCKETS/device0?device=${mdev}"`
  const { status, stdout, stderr } = run('restore', mdev, '--from', file, '--exec', program)
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^opened +by somebody else$/m)
  assert.match(stdout, /^state +running$/m)
  const failed = run('restore', mdev, '--from', file, '--exec', 'exit 7')
  assert.equal(failed.status, 1)
  assert.match(failed.stderr, /ended with 7/)
})

test('--hold holds it, and another program takes its descriptor from there', async () => {
  const holder = spawn(process.execPath, [main, 'restore', mdev, '--from', file, '--hold'], {
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  const ended = once(holder, 'close')
  let said = ''
  for await (const chunk of holder.stderr) {
    said += chunk
    if (said.includes('held until')) break
  }
  assert.match(said, /held until standard input is closed/)
  const fds = readdirSync(`/proc/${holder.pid}/fd`)
  const is = (fd) => /vfio-device|\/dev\/vfio\/devices/.test(readlinkSync(`/proc/${holder.pid}/fd/${fd}`))
  const fd = fds.find(is)
  assert.notEqual(fd, undefined)
  const probed = run('probe', `pidfd:${holder.pid}:${fd}?device=${mdev}`)
  assert.equal(probed.status, 0, probed.stderr)
  holder.stdin.end()
  assert.equal((await ended)[0], 0)
})
