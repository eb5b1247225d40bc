import type { BindingDiagnosis, BindingFinding, BindingFound } from './binding.ts'
import { record, text } from './checks.ts'
import { usage } from './errors.ts'
import { native, settle } from './native.ts'

/**
 * What a device, or its driver, is capable of: `yes` and `no` are said by the kernel or true of every device of the driver,
 * `likely` of most of them; only opening the device tells more.
 */
export type Support = 'yes' | 'likely' | 'unknown' | 'no'

/** A process that has a device, or its IOMMU group, open. */
export interface Holder {
  readonly pid: number
  readonly command: string
  /** Its file descriptor of the device itself, where the kernel says which that is. */
  readonly deviceFd?: number
}

/** The IOMMU group of a device: all its members belong to one program. */
export interface FoundGroup {
  readonly number: number
  /** The group's node, such as `/dev/vfio/12`. */
  readonly node: string
  /** No IOMMU protects the host from it. */
  readonly noIommu: boolean
  /** Every device in it, this one too; a driver that is absent is none. */
  readonly members: readonly { readonly name: string; readonly driver?: string }[]
}

/** A device of this host, as far as it can be seen without opening it. */
export interface FoundDevice {
  /** How it is opened: `vfio:0000:65:00.1`, `mdev:UUID`, `cdev:/dev/vfio/devices/vfio0`. */
  readonly address: string
  /** Its name on its bus. */
  readonly name: string
  readonly bus?: string
  /** The driver that it is bound to; absent if there is none. */
  readonly driver?: string
  /** Whether that is a VFIO driver: without one it cannot be opened. */
  readonly bound: boolean
  /** The type of an mdev, such as `mtty-2`. */
  readonly mdevType?: string
  readonly group?: FoundGroup
  /** Its node for iommufd, on kernels that have such nodes. */
  readonly cdev?: string
  /** Whether somebody has it open: `unknown` where not every process can be looked at. */
  readonly inUse: 'yes' | 'unknown' | 'no'
  /** Who has, as far as it can be seen. */
  readonly holders: readonly Holder[]
  readonly migration: Support
  /**
   * The protocol by which it is migrated if it can be; absent where nothing tells, and where it cannot be. A device with a
   * `region` (v1) is opened only for who asks for it: `experimentalRegion` of `openDevice`.
   */
  readonly protocol?: 'region' | 'fsm'
  /** The P2P states, which a group of several devices needs. */
  readonly p2p: Support
  /** Whether it can be moved while it runs. */
  readonly preCopy: Support
  /** Whether it logs its own DMA, and this kernel reports the log. */
  readonly dirtyTracking: Support
  /** The first open and the last close reset it: what is in it is lost. */
  readonly resetByOpening: boolean
}

/** Why a migration does not work, or what has to be minded. */
export interface Finding {
  /** A name to compare, such as `not-bound`: docs/cli.md lists them. */
  readonly code: string
  /** The device that it is about; absent for the host. */
  readonly device?: string
  /** Whether a migration is impossible; otherwise only a part of it is, or something has to be minded. */
  readonly blocks: boolean
  /** What was found: one sentence. */
  readonly what: string
  /** What to do about it: one sentence. */
  readonly remedy: string
}

/** What {@link doctor} found. */
export interface Diagnosis {
  /** Those of the host first. */
  readonly findings: readonly Finding[]
  /** Whether nothing blocks the host and the device that was asked for or, if none was, at least one of all. */
  readonly able: boolean
}

/** Where a host is looked at. */
export interface HostOptions {
  /** The folder that the host's `sys`, `dev` and `proc` are below, for a container that sees its host there. @default '/' */
  readonly root?: string
}

/**
 * Lists all devices that a VFIO driver has, and opens none.
 *
 * @throws VfioError `ERR_VFIO_PLATFORM`
 *
 * @example
 * ```ts
 * import { listDevices } from 'vfio-migration'
 * for (const device of await listDevices()) console.log(device.address, device.driver, device.migration)
 * ```
 */
export const listDevices = async (options: HostOptions = {}): Promise<FoundDevice[]> =>
  settle(await native().listDevices(rootOf(options))).map(foundDevice)

/**
 * Looks at one device, whether or not a VFIO driver has it, and does not open it.
 *
 * @throws VfioError `ERR_VFIO_HOST` if there is no such device, `ERR_VFIO_USAGE` for what is no device's address,
 * `ERR_VFIO_PLATFORM`
 */
export const findDevice = async (address: string, options: HostOptions = {}): Promise<FoundDevice> =>
  foundDevice(settle(await native().findDevice(text(address, 'an address'), rootOf(options))))

/**
 * Says why this host cannot migrate a device, or any device of a VFIO driver, with what to do about it. Opens nothing.
 *
 * @throws VfioError as {@link findDevice}
 *
 * @example
 * ```ts
 * import { doctor } from 'vfio-migration'
 * const { able, findings } = await doctor()
 * for (const { code, what, remedy } of findings) console.log(`${code}: ${what} (${remedy})`)
 * ```
 */
export const doctor = async (address?: string, options: HostOptions = {}): Promise<Diagnosis> => {
  const about = address === undefined ? undefined : text(address, 'an address')
  const { able, findings }: BindingDiagnosis = settle(await native().doctor(about, rootOf(options)))
  return { able, findings: findings.map(({ kind, ...rest }: BindingFinding) => ({ code: kind, ...rest })) }
}

const foundDevice = (found: BindingFound) => found as FoundDevice

const rootOf = (options: HostOptions) => {
  const { root = '/' } = record(options)
  if (typeof root !== 'string' || root === '') throw usage('root is the path of a folder')
  return root
}
