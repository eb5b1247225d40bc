// In a machine with a network card and no IOMMU: what is said as long as the kernel gives such a card to nobody, and what it
// is once somebody has switched the protection off on purpose.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { cli, program } from './cli.mjs'
import { bind, card, driver } from './pci.mjs'

const address = `vfio:${card}`
const cdevs = process.env.TESTBED_KERNEL !== '6.12'
const codes = ({ findings }) => findings.map(({ code }) => code)
const listed = () => cli('list', '--json').json.devices.find(({ name }) => name === card)

test('without an IOMMU no VFIO driver takes the card, and doctor says why', () => {
  assert.equal(driver(card), undefined)
  const { status, json } = cli('doctor', address, '--json')
  assert.equal(status, 3)
  assert.ok(codes(json).includes('no-iommu'))
  assert.ok(json.findings.some(({ code, blocks }) => code === 'not-bound' && blocks))
  assert.equal(listed(), undefined)
  const save = cli('save', address, '--fresh', '--to', '/tmp/none')
  assert.equal(save.status, 3)
  assert.match(save.stderr, /ERR_VFIO_HOST: .*has no driver/)
})

test('with the protection switched off it has nodes of their own name', () => {
  writeFileSync('/sys/module/vfio/parameters/enable_unsafe_noiommu_mode', 'Y')
  assert.ok(bind(card))
  const { group, cdev, bound } = listed()
  assert.ok(bound && group.noIommu)
  assert.equal(group.node, `/dev/vfio/noiommu-${group.number}`)
  assert.ok(existsSync(group.node))
  assert.equal(cdev !== undefined, cdevs)
  if (cdevs) assert.match(cdev, /^\/dev\/vfio\/devices\/noiommu-vfio\d+$/)
})

test('it is opened by each way, and has no migration', () => {
  for (const by of cdevs ? ['group', 'cdev'] : ['group']) {
    const { status, stderr } = cli('probe', `${address}?by=${by}`)
    assert.equal(status, 3)
    assert.match(stderr, /ERR_VFIO_UNSUPPORTED: .*has no migration/, by)
  }
  assert.ok(codes(cli('doctor', address, '--json').json).includes('no-migration'))
})

test('without CAP_SYS_RAWIO it is not permitted, and doctor says so', () => {
  const without = (...args) => {
    const command = ['--bounding-set=-sys_rawio', process.execPath, program, ...args]
    const { status, stdout, stderr } = spawnSync('setpriv', command, { encoding: 'utf8' })
    return { status, stdout, stderr }
  }
  const { status, stdout } = without('doctor', address, '--json')
  assert.equal(status, 3)
  const finding = JSON.parse(stdout).findings.find(({ code }) => code === 'no-iommu-group')
  assert.match(finding.what, /EPERM without CAP_SYS_RAWIO/)
  for (const by of cdevs ? ['group', 'cdev'] : ['group']) {
    const probe = without('probe', `${address}?by=${by}`)
    assert.equal(probe.status, 3, probe.stderr)
    assert.match(probe.stderr, /ERR_VFIO_HOST: .*not permitted.*CAP_SYS_RAWIO/, by)
  }
})
