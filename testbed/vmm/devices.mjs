// The software devices of a machine: how the preload is told what they are, and QEMU where to find them.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setup } from '../../scripts/setup.mjs'
import { digest, folder, root, run, testbed } from '../cache.mjs'

/** The library that answers for the devices, built if it is not up to date. */
const preload = () => {
  setup(['packages', 'preload'])
  return join(root, 'ts/native/libvfio_migration_preload.so')
}

/**
 * What every device has unless its own settings say otherwise: what the guest needs, which is DMA where it says and memory of
 * the device's own, and so little data that QEMU reads all of it at once.
 */
const always = ['size=64KiB', 'dma-buffer', 'device-memory=4KiB']

const keyOf = (setting) => setting.split('=')[0]

/** Settings of a model: some, and those that are meant where they say nothing else. */
export const settle = (defaults, ...settings) => {
  const own = settings.filter(Boolean).flatMap((text) => text.split(','))
  const rest = defaults.filter((setting) => !own.some((one) => keyOf(one) === keyOf(setting)))
  return `model:${[...rest, ...own].join(',')}`
}

/**
 * @typedef {object} Devices
 * @property {string} settings of the model, after what every device has
 * @property {string[]} [each] more settings, for each device; one device without it
 * @property {string} [trace] the file for the trace
 * @property {boolean} [blind] dirty tracking says nothing
 * @property {boolean} [cdev] opened by its character device, with an iommufd
 * @property {boolean} [byAddress] found by its address on the bus, as a device of the host
 * @property {'inherited' | 'sent'} [passed] with `cdev`: somebody else opens them, and QEMU gets their descriptors: it is started
 *   with them, or they are sent to its monitor when it is there
 * @property {Record<string, string>} [properties] more of QEMU's, for each device
 */

/**
 * What a machine needs to have them: the library, variables, and arguments of QEMU.
 *
 * @param {string} generation of QEMU
 * @param {string} folder for what stands in for sysfs
 * @param {Devices} devices
 */
export const present = (generation, folder, { settings, each = [''], properties = {}, ...how }) => {
  const { trace, blind, cdev, passed, byAddress } = how
  const addresses = each.map((more) => settle(always, settings, more))
  const migration = generation === '7.2' ? { 'x-enable-migration': 'on' } : { 'enable-migration': 'on' }
  const all = { ...migration, ...(cdev ? { iommufd: 'iommufd0' } : {}), ...properties }
  const where = (index) => {
    if (passed === 'sent') return { fd: `device${index}` }
    if (passed) return { fd: firstPassed + 1 + index }
    const place = `0000:00:0${index + 1}.0`
    return byAddress ? { host: place } : { sysfsdev: `${folder}/${place}` }
  }
  const device = (index) => ({ id: `device${index}`, addr: `0x${5 + index}`, ...where(index), ...all })
  const arg = (driver, own) => [driver, ...Object.entries(own).map(([name, value]) => `${name}=${value}`)].join(',')
  const iommufd = {
    id: 'iommufd0',
    ...(passed === 'sent' && { fd: 'iommufd' }),
    ...(passed === 'inherited' && { fd: firstPassed }),
  }
  const library = preload()
  const devices = addresses.map((_, index) => device(index))
  return {
    preload: library,
    count: addresses.length,
    env: {
      VFIO_MIGRATION_PRELOAD_DEVICES: addresses.join(' '),
      VFIO_MIGRATION_PRELOAD_FOLDER: folder,
      ...(trace ? { VFIO_MIGRATION_PRELOAD_TRACE: trace } : {}),
      ...(blind ? { VFIO_MIGRATION_PRELOAD_BLIND: '1' } : {}),
    },
    launcher: passed === 'inherited' ? opening(library, addresses.length) : [],
    args:
      passed === 'sent'
        ? []
        : [
            ...(cdev ? ['-object', arg('iommufd', iommufd)] : []),
            ...devices.flatMap((own) => ['-device', arg('vfio-pci', own)]),
          ],
    sent: passed === 'sent' && { iommufd, devices },
  }
}

/** Where somebody else opens what a machine with such devices needs, in the order of their numbers. */
const nodes = (count) => [
  '/dev/iommu',
  ...Array.from({ length: count }, (_, index) => `/dev/vfio/devices/vfio${7000 + index}`),
]

/**
 * Opens the iommufd and the devices, sends their descriptors to the monitor at a socket, and adds the devices there, all in a
 * process of its own: as a manager of machines does.
 *
 * @param {ReturnType<typeof present>} presented
 * @param {string} socket
 */
export const send = ({ preload: library, env, sent: { iommufd, devices } }, socket) => {
  const names = ['iommufd', ...devices.map((_, index) => `device${index}`)]
  const command = (execute, args) => JSON.stringify({ execute, arguments: args })
  run(
    manager(),
    [
      socket,
      ...nodes(devices.length).map((path, index) => `${names[index]}=${path}`),
      '--',
      command('object-add', { 'qom-type': 'iommufd', ...iommufd }),
      ...devices.map((own) => command('device_add', { driver: 'vfio-pci', ...own })),
    ],
    { env: { ...process.env, ...env, LD_PRELOAD: library } },
  )
}

/** The program that sends descriptors, compiled when it is needed. */
const manager = () => {
  const source = join(testbed, 'vmm/manager.c')
  const made = folder(`manager-${digest(readFileSync(source))}`, (half) => {
    run('cc', ['-O1', '-Wall', '-Werror', '-o', join(half, 'manager'), source])
  })
  return join(made, 'manager')
}

/** The number of the iommufd that QEMU is started with; the devices' follow. */
const firstPassed = 8

/**
 * A command that opens the iommufd and the devices, and then becomes the command that follows. The library is in it as in
 * QEMU, which is not preloaded into twice.
 */
const opening = (library, count) => {
  const opened = nodes(count).map((path, index) => `${firstPassed + index}<>${path}`)
  const script = `exec ${opened.join(' ')}; exec env -u LD_PRELOAD "$@"`
  return ['env', `LD_PRELOAD=${library}`, 'bash', '-c', script, 'bash']
}
