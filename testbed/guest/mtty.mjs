// What tests do in a machine with the kernel's sample device mtty: make devices, use their serial ports as a guest would,
// and read what the driver says that it did.
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readlinkSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'

const types = '/sys/class/mdev_bus/mtty/mdev_supported_types'

/** Makes a device with two serial ports, and gives back its UUID. */
export const createMdev = (uuid = randomUUID()) => {
  writeFileSync(`${types}/mtty-2/create`, `${uuid}\n`)
  return uuid
}

export const removeMdev = (uuid) => writeFileSync(`${mdev(uuid)}/remove`, '1\n')

const mdev = (uuid) => `/sys/bus/mdev/devices/${uuid}`

/** The number of a device's group, as in `/dev/vfio/N`. */
export const group = (uuid) => basename(readlinkSync(`${mdev(uuid)}/iommu_group`))

/** Whether there are character devices for devices. */
export const hasCdev = existsSync('/dev/iommu')

/** Uses a device's serial port: `uart(uuid, 0, 'send', 'text')`. */
export const uart = (uuid, port, ...what) =>
  execFileSync(process.env.UART, [uuid, String(port), ...what.map(String)], { encoding: 'utf8' })

/**
 * What the driver says about a device since the last call: `request STATE`, `arc FROM TO` and `reset` in their order, with
 * the states' numbers.
 */
export const driverLog = (uuid) => {
  const lines = execFileSync('dmesg', ['-c'], { encoding: 'utf8' }).split('\n')
  const found = []
  for (const line of lines) {
    // The driver's reset does not name the device.
    if (/mtty_reset: called/.test(line)) found.push('reset')
    if (!line.includes(uuid)) continue
    const arc = line.match(/: (\d+) -> (\d+)$/)
    const request = line.match(/ -> (\d+)$/)
    if (arc) found.push(`arc ${arc[1]} ${arc[2]}`)
    else if (request) found.push(`request ${request[1]}`)
  }
  return found
}
