// What tests do in a machine with the kernel's sample device mtty: make devices, use their serial ports as a guest would,
// and read what the driver says that it did.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readlinkSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'

const types = '/sys/class/mdev_bus/mtty/mdev_supported_types'

/** Makes a device with two serial ports for a test, gives back its UUID, and removes it at the end: mtty has 24 ports. */
export const createMdev = (t) => {
  const uuid = randomUUID()
  writeFileSync(`${types}/mtty-2/create`, `${uuid}\n`)
  t.after(() => {
    if (existsSync(mdev(uuid))) removeMdev(uuid)
  })
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

/** What a port is given for a name: at most 15 letters of the 16 that it keeps, and a number in its scratch register. */
const text = (name, port) => `${name.slice(-14)}${port}`
const scratch = (name, port) =>
  [...`${name}${port}`].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 251, 1)

/** Fills both ports of a device with what only this name gives. */
export const fill = (uuid, name) => {
  for (const port of [0, 1]) {
    uart(uuid, port, 'send', text(name, port))
    uart(uuid, port, 'scratch', scratch(name, port))
  }
}

/** Takes what the ports of a device keep, which must be what `fill` gave a device for this name. */
export const assertHolds = (uuid, name) => {
  for (const port of [0, 1]) {
    assert.equal(uart(uuid, port, 'receive'), text(name, port))
    assert.equal(uart(uuid, port, 'scratch'), `${scratch(name, port)}\n`)
  }
}

/** How much of the kernel's log was looked at. */
let seen = 0

/**
 * What the driver says about a device since the last call: `request STATE`, `arc FROM TO` and `reset` in their order, with
 * the states' numbers.
 */
export const driverLog = (uuid) => {
  const lines = execFileSync('dmesg', { encoding: 'utf8', maxBuffer: 1 << 28 })
    .trimEnd()
    .split('\n')
  const found = []
  for (const line of lines.slice(seen)) {
    // The driver's reset does not name the device.
    if (/mtty_reset: called/.test(line)) found.push('reset')
    if (!line.includes(uuid)) continue
    const arc = line.match(/: (\d+) -> (\d+)$/)
    const request = line.match(/ -> (\d+)$/)
    if (arc) found.push(`arc ${arc[1]} ${arc[2]}`)
    else if (request) found.push(`request ${request[1]}`)
  }
  seen = lines.length
  return found
}
