import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ExecutionContext } from 'ava'
import { temporary } from './temporary.js'

/** A host in a folder: VFIO and iommufd are loaded, there is an IOMMU, and every process can be looked at. */
export const fakeHost = async (t: ExecutionContext) => {
  const place = await temporary(t)
  const file = async (path: string, content = '') => {
    await mkdir(dirname(place(path)), { recursive: true })
    await writeFile(place(path), content)
  }
  /** A link; one to an absolute path leads there below the same root. */
  const link = async (path: string, to: string) => {
    await mkdir(dirname(place(path)), { recursive: true })
    if (to.startsWith('/')) await mkdir(place(to), { recursive: true })
    await symlink(to.startsWith('/') ? place(to) : to, place(path))
  }
  await file('sys/class/misc/vfio/dev', '10:196\n')
  await file('sys/class/misc/iommu/dev', '10:122\n')
  await file('dev/vfio/vfio')
  await file('dev/iommu')
  await link('sys/class/iommu/dmar0', '/sys/devices/virtual/iommu/dmar0')
  await link('proc/self/ns/pid', 'pid:[4026531836]')
  await file('proc/self/status', 'CapEff:\t000001ffffffffff\n')
  await mkdir(place('proc/1/fd'), { recursive: true })

  /** A PCI function that a driver of VFIO has, with its nodes. */
  const pci = async (name: string, driver: string, group: number, number: number) => {
    const folder = `/sys/devices/pci0000:64/${name}`
    await link(`${folder}/subsystem`, '/sys/bus/pci')
    await link(`${folder}/driver`, `/sys/bus/pci/drivers/${driver}`)
    await link(`${folder}/iommu_group`, `/sys/kernel/iommu_groups/${group}`)
    await link(`sys/bus/pci/devices/${name}`, folder)
    await link(`sys/kernel/iommu_groups/${group}/devices/${name}`, folder)
    await file(`${folder}/vfio-dev/vfio${number}/dev`, `511:${number}\n`)
    await file(`dev/vfio/devices/vfio${number}`)
    await file(`dev/vfio/${group}`)
  }
  /** A process that has files open: what its links say is not looked up below the root. */
  const process = async (pid: number, command: string, files: Record<number, string>) => {
    await file(`proc/${pid}/comm`, `${command}\n`)
    await mkdir(place(`proc/${pid}/fd`), { recursive: true })
    for (const [fd, target] of Object.entries(files)) await symlink(target, place(`proc/${pid}/fd/${fd}`))
  }
  return { root: place('.'), file, link, pci, process }
}
