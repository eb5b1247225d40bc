// What list, doctor and probe say, of hosts in folders made for the test and of software devices.
import test from 'ava'
import { doctor, findDevice, isVfioError, listDevices, probe } from 'vfio-migration'
import { lastJson, run } from './support/cli.js'
import { fakeHost } from './support/host.js'

test('listDevices() says what can be seen of each device', async (t) => {
  const host = await fakeHost(t)
  await host.pci('0000:65:00.1', 'mlx5_vfio_pci', 41, 0)
  await host.pci('0000:65:00.2', 'vfio-pci', 42, 1)
  await host.process(812, 'qemu', { 7: '/dev/vfio/devices/vfio1' })
  const [one, other, ...more] = await listDevices(host)
  t.deepEqual(more, [])
  t.like(one, {
    address: 'vfio:0000:65:00.1',
    name: '0000:65:00.1',
    bus: 'pci',
    driver: 'mlx5_vfio_pci',
    bound: true,
    cdev: '/dev/vfio/devices/vfio0',
    inUse: 'no',
    migration: 'likely',
    p2p: 'likely',
    preCopy: 'likely',
    dirtyTracking: 'unknown',
    resetByOpening: true,
  })
  const members = [{ name: '0000:65:00.1', driver: 'mlx5_vfio_pci' }]
  t.deepEqual(one?.group, { number: 41, node: '/dev/vfio/41', noIommu: false, members })
  t.like(other, { migration: 'no', inUse: 'yes' })
  t.deepEqual(other?.holders, [{ pid: 812, command: 'qemu', deviceFd: 7 }])
  t.deepEqual(await findDevice('0000:65:00.2', host), other)
})

test('list --root: an aligned table, and with --json one object', async (t) => {
  const host = await fakeHost(t)
  const none = await run('list', '--root', host.root)
  t.is(none.status, 0)
  t.is(none.stdout.trim(), '')
  t.regex(none.stderr, /no device of this host has a VFIO driver/)
  await host.pci('0000:65:00.1', 'mlx5_vfio_pci', 41, 0)
  await host.pci('10000:e1:00.0', 'vfio-pci', 7, 11)
  const { status, stdout, stderr } = await run('list', '--root', host.root)
  t.is(status, 0, stderr)
  t.is(stderr, '')
  const [title = '', ...rows] = stdout.trimEnd().split('\n')
  t.is(rows.length, 2)
  // Every column begins under its title.
  for (const [word, cells] of [
    ['DRIVER', ['mlx5_vfio_pci', 'vfio-pci']],
    ['GROUP', ['41', '7']],
    ['NODE', ['/dev/vfio/devices/vfio0', '/dev/vfio/devices/vfio11']],
    ['MIGRATION', ['likely', 'no']],
    ['PROTOCOL', ['fsm', '-']],
    ['IN USE', ['no', 'no']],
  ] as const) {
    rows.forEach((row, at) => {
      t.true(row.slice(title.indexOf(word)).startsWith(cells[at] as string), `${word}: ${row}`)
    })
  }
  const json = lastJson(await run('list', '--root', host.root, '--json'))
  t.true(json.ok)
  t.deepEqual(json.devices, JSON.parse(JSON.stringify(await listDevices(host))))
})

test('a device that can only have a migration region is named, with what it needs', async (t) => {
  const host = await fakeHost(t)
  await host.pci('0000:65:00.1', 'acme_vfio_pci', 41, 0)
  t.is((await findDevice('0000:65:00.1', host)).protocol, undefined)
  t.regex((await run('list', '--root', host.root)).stdout, /acme_vfio_pci .* unknown +unknown +unknown/)
  await host.file('sys/kernel/debug/vfio/0000:65:00.1/other')
  t.like(await findDevice('0000:65:00.1', host), { migration: 'unknown', protocol: 'region' })
  t.regex((await run('list', '--root', host.root)).stdout, /acme_vfio_pci .* unknown +region \(experimental\)/)
  const { findings } = await doctor('0000:65:00.1', host)
  const finding = findings.find(({ code }) => code === 'region-only')
  t.regex(finding?.what ?? '', /QEMU until 7\.2/)
  t.regex(finding?.remedy ?? '', /probe vfio:0000:65:00\.1 --experimental-region/)
})

test('doctor() and doctor --root: a line for each reason, status 3 where it cannot be', async (t) => {
  const host = await fakeHost(t)
  await host.pci('0000:65:00.1', 'mlx5_vfio_pci', 41, 0)
  t.like(await doctor('vfio:0000:65:00.1', host), { able: true })
  await host.pci('0000:65:00.0', 'mlx5_core', 41, 1)
  await host.process(812, 'qemu', { 7: '/dev/vfio/devices/vfio0' })
  const { able, findings } = await doctor('vfio:0000:65:00.1', host)
  t.false(able)
  const codes = findings.map(({ code }) => code)
  t.deepEqual(codes.slice(0, 2), ['in-use', 'reset-by-opening'])
  const { status, stdout } = await run('doctor', 'vfio:0000:65:00.1', '--root', host.root)
  t.is(status, 3)
  const lines = stdout.trimEnd().split('\n')
  t.is(lines.length, findings.length)
  t.regex(lines[0] as string, /^blocks +vfio:0000:65:00\.1 +in-use +.*qemu \(pid 812\) \(.*pidfd:812:7.*\)$/)
  const json = await run('doctor', 'vfio:0000:65:00.1', '--root', host.root, '--json')
  t.is(json.status, 3)
  t.deepEqual(lastJson(json), { ok: false, able: false, findings: JSON.parse(JSON.stringify(findings)) as unknown })

  const nothing = await run('doctor', '--root', '/nonexistent')
  t.is(nothing.status, 3)
  t.regex(nothing.stdout, /^blocks +host +no-vfio .*\(.+\)$/m)
})

test('doctor of a device with nothing wrong', async (t) => {
  const host = await fakeHost(t)
  const folder = '/sys/devices/virtual/mtty/mtty/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001'
  await host.link(`${folder}/subsystem`, '/sys/bus/mdev')
  await host.link(`${folder}/driver`, '/sys/bus/mdev/drivers/mtty')
  await host.link(`${folder}/iommu_group`, '/sys/kernel/iommu_groups/7')
  await host.link('sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001', folder)
  await host.link('sys/kernel/iommu_groups/7/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001', folder)
  await host.file('dev/vfio/7')
  const mdev = 'mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001'
  t.deepEqual(await doctor(mdev, host), { able: true, findings: [] })
  const { status, stdout } = await run('doctor', mdev, '--root', host.root)
  t.is(status, 0)
  t.is(stdout, `nothing is in the way of migrating ${mdev}\n`)
})

test('probe() and probe: what an open device says of itself', async (t) => {
  const address = 'model:size=1MiB,pre-copy,p2p'
  const probed = await probe(address)
  t.like(probed, { address, protocol: 'fsm', state: 'running', holding: undefined })
  t.deepEqual([...probed.capabilities].sort(), ['p2p', 'pre-copy'])
  t.true(probed.passport.length > 0)
  const { status, stdout } = await run('probe', address)
  t.is(status, 0)
  t.regex(stdout, /^protocol +fsm$/m)
  t.regex(stdout, /^capable of +stop-copy, .*pre-copy/m)
  t.like(lastJson(await run('probe', address, '--json')), { ok: true, protocol: 'fsm', state: 'running' })
})

test('a device in use is never probed, and one that is reset by it is told before', async (t) => {
  const host = await fakeHost(t)
  await host.pci('0000:65:00.1', 'mlx5_vfio_pci', 41, 0)
  const stop = new Error('told')
  const beforeOpening = (found: { resetByOpening: boolean }) => {
    t.true(found.resetByOpening)
    throw stop
  }
  t.is(await t.throwsAsync(probe('vfio:0000:65:00.1', { ...host, beforeOpening })), stop)
  await host.process(812, 'qemu', { 7: '/dev/vfio/devices/vfio0' })
  const used = await t.throwsAsync(probe('vfio:0000:65:00.1', { ...host, beforeOpening }))
  t.true(isVfioError(used, 'ERR_VFIO_HOST'))
  t.regex((used as Error).message, /qemu \(pid 812\)/)
})

test('a device that is not there, and words that are no device', async (t) => {
  const host = await fakeHost(t)
  for (const look of [findDevice, doctor, probe]) {
    const absent = await t.throwsAsync(look('vfio:0000:01:00.0', host))
    t.true(isVfioError(absent, 'ERR_VFIO_HOST'), String(absent))
  }
  for (const look of [findDevice, doctor]) {
    for (const address of ['vfio:banana', 'mdev:1', 'model:size=1MiB', '']) {
      t.true(isVfioError(await t.throwsAsync(look(address, host)), 'ERR_VFIO_USAGE'), address)
    }
  }
  await t.throwsAsync(listDevices({ root: '' }), { code: 'ERR_VFIO_USAGE' })
})
