// PCI functions in a machine, by sysfs: who drives them, and virtual functions.
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'

export const sysfs = (function_) => `/sys/bus/pci/devices/${function_}`

const attribute = (function_, name) => readFileSync(`${sysfs(function_)}/${name}`, 'utf8').trim()

/** The machine's network card, the physical function of it. */
export const card = readdirSync('/sys/bus/pci/devices').find((name) => attribute(name, 'class') === '0x020000')

export const driver = (function_) => {
  const link = `${sysfs(function_)}/driver`
  return existsSync(link) ? basename(readlinkSync(link)) : undefined
}

/** Gives a function that has no driver to vfio-pci; whether it took it. */
export const bind = (function_) => {
  writeFileSync(`${sysfs(function_)}/driver_override`, 'vfio-pci')
  try {
    writeFileSync('/sys/bus/pci/drivers_probe', function_)
  } catch (error) {
    if (error.code !== 'EINVAL') throw error
  }
  return driver(function_) === 'vfio-pci'
}

/** Makes virtual functions of a physical one that vfio-pci has, and gives them to vfio-pci as well. */
export const makeVirtual = (physical, count) => {
  writeFileSync('/sys/module/vfio_pci/parameters/enable_sriov', 'Y')
  writeFileSync(`${sysfs(physical)}/sriov_numvfs`, String(count))
  const all = Array.from({ length: count }, (_, number) => basename(readlinkSync(`${sysfs(physical)}/virtfn${number}`)))
  for (const one of all) if (driver(one) === undefined) bind(one)
  return all
}
