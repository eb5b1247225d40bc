import { flagIn, millisecondsIn, record, said, textIn } from './checks.ts'
import type { Device } from './device.ts'
import { usage } from './errors.ts'
import { OpenDevice } from './handle.ts'
import { native, settle } from './native.ts'
import type { SeenState } from './states.ts'

/** How a device is opened. */
export interface OpenOptions {
  /** Its name in sessions: 1 to 255 bytes, the same at both ends. @default its place among the session's devices */
  readonly id?: string
  /**
   * It is to be saved: a device that the kernel empties when it is opened afresh, as it does with PCI functions, is then
   * refused. @default false
   */
  readonly toSave?: boolean
  /** It is taken all the same. @default false */
  readonly fresh?: boolean
  /**
   * How long the program at a unix socket (`fd:unix:PATH`) may take to hand the device over, in milliseconds.
   *
   * @default 10_000
   */
  readonly waitMs?: number
  /**
   * What may track dirty pages where the device's own log is not there or does not work. What belongs to you is not
   * started, stopped or read without it. @default nothing
   */
  readonly tracking?: LentTracking
  /**
   * A device with a migration region (protocol v1) is opened too, and driven like this. **Experimental**: no driver in
   * Linux ever had such a region, and what devices make of its text differs. Devices that speak fsm do not mind it.
   *
   * @default such a device is refused
   */
  readonly experimentalRegion?: RegionOptions
}

/**
 * Whose reading of the region's text a device follows: the thread's as it was clarified last, what QEMU until 7.2 does and
 * no more, or libvfio-user's server's.
 */
export type Dialect = 'thread' | 'qemu' | 'libvfio-user'

/** How a device with a migration region is driven. */
export interface RegionOptions {
  /** The device's dialect. A software device says its own. @default 'thread' */
  readonly dialect?: Dialect
  /**
   * In a restore, a segment that is larger than the device's window is split, as QEMU until 7.2 did it; not every device
   * puts up with that. @default false: it is an error
   */
  readonly splitSegments?: boolean
  /** In a save, most bytes that the device may give once it has stopped. @default 1 TiB */
  readonly maxStopCopyBytes?: bigint | number
  /** In a save, how often in a row a stopped device may say that bytes are pending and give none. @default 16 */
  readonly maxEmptyRounds?: number
}

/**
 * The dirty tracking of the device's container, or of a page table of its iommufd that was made with it. Each range that is
 * tracked must be one mapping, and stay mapped until the log is closed. With `started` you have started it, with pages of so
 * many bytes, and you stop it: it is read and cleared, no more.
 */
export type LentTracking =
  | { readonly of: 'container'; readonly started?: number }
  | { readonly of: 'page-table'; readonly id: number; readonly started?: number }

/** A device that this process has open already, by the numbers of its file descriptors. They are copied at once. */
export interface Descriptors {
  /** Of the device. */
  readonly fd: number
  /** Of what it needs to go on working: its container and group, or its iommufd. They are kept open and not touched. */
  readonly beside?: readonly number[]
  /** Which device it is, for kernels that do not say so: `vfio:0000:65:00.1`, `mdev:UUID`. */
  readonly device?: string
}

/**
 * Opens a device by its address, or takes one that is open. The handle stands for the state that the device was found in:
 * running, for every device that was opened afresh.
 *
 * | address | device |
 * |---|---|
 * | `model:size=256MiB,pre-copy,p2p,seed=7` | a software device |
 * | `vfio:0000:65:00.1`, `mdev:UUID`, `cdev:/dev/vfio/devices/vfio0` | one of the kernel's, opened here |
 * | `fd:unix:PATH`, `pidfd:PID:N`, `fd:N` | one that another program, or this one, has open |
 *
 * @throws VfioError `ERR_VFIO_UNSUPPORTED` for an address of a kind that is not served and for a device without migration,
 * `ERR_VFIO_USAGE` for what makes no sense and for a device with a migration region that nobody asked for, `ERR_VFIO_HOST` where the host lacks it or does not permit it,
 * `ERR_VFIO_DEVICE_FAILED`, `ERR_VFIO_PLATFORM` where there is no addon
 *
 * @example
 * ```ts
 * import { openDevice } from 'vfio-migration'
 * const device = await openDevice('model:size=1MiB')
 * const copy = await device.to('stop-copy')
 * let bytes = 0
 * for await (const chunk of copy.data) bytes += chunk.byteLength
 * await copy.close()
 * ```
 */
export const openDevice = async (from: string | Descriptors, options: OpenOptions = {}): Promise<Device> => {
  const device = settle(await opened(from, options))
  // As the device says it: what must not be shown is not in it.
  const open = new OpenDevice(device, device.address, options.id)
  return open.handle(settle(await device.state()) as SeenState) as Device
}

/** @internal The options as the addon takes them. */
export const nativeOptions = (options: OpenOptions) => {
  const { tracking, experimentalRegion } = record(options)
  textIn(options, 'id')
  const waitMs = millisecondsIn(options, 'waitMs')
  return {
    toSave: flagIn(options, 'toSave') ?? false,
    fresh: flagIn(options, 'fresh') ?? false,
    ...(waitMs === undefined ? {} : { waitMs }),
    ...(tracking === undefined ? {} : { tracking: lent(tracking) }),
    ...(experimentalRegion === undefined ? {} : { region: region(experimentalRegion) }),
  }
}

const opened = (from: string | Descriptors, how: OpenOptions) => {
  const options = nativeOptions(how)
  if (typeof from === 'string') return native().openDevice(from, undefined, options)
  if (typeof from !== 'object' || from === null) {
    throw usage(`a device is opened by an address or by descriptors, not by ${said(from)}`)
  }
  const { fd, beside = [] } = from
  if (!Array.isArray(beside)) throw usage(`beside is a list of file descriptors, not ${said(beside)}`)
  for (const number of [fd, ...beside])
    if (!isWhole(number, 2 ** 31)) throw usage(`${said(number)} is no file descriptor`)
  return native().openDescriptors(fd, [...beside], textIn(from, 'device'), options)
}

const isWhole = (value: unknown, most: number) =>
  Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) < most

const lent = (tracking: LentTracking) => {
  const { of, started } = tracking ?? {}
  if (of !== 'container' && of !== 'page-table')
    throw usage(`tracking is that of a 'container' or of a 'page-table', not of ${String(of)}`)
  if (started !== undefined && !isWhole(started, Number.MAX_SAFE_INTEGER))
    throw usage(`tracking was started with pages of so many bytes, not ${String(started)}`)
  const pageTable = tracking.of === 'page-table' ? tracking.id : undefined
  if (of === 'page-table' && !isWhole(pageTable, 2 ** 32)) throw usage('a page table has a number, its id')
  return {
    ...(pageTable === undefined ? {} : { pageTable }),
    ...(started === undefined ? {} : { started: BigInt(started) }),
  }
}

const region = (options: RegionOptions) => {
  record(options, 'experimentalRegion is an object, {} at least')
  const { maxStopCopyBytes: bytes, maxEmptyRounds: rounds } = options
  const isSize = typeof bytes === 'bigint' ? bytes >= 0n && bytes < 2n ** 64n : isWhole(bytes, 2 ** 53)
  if (bytes !== undefined && !isSize) throw usage(`maxStopCopyBytes is a number of bytes, not ${String(bytes)}`)
  if (rounds !== undefined && !isWhole(rounds, 2 ** 32))
    throw usage(`maxEmptyRounds is a number, not ${String(rounds)}`)
  return {
    dialect: textIn(options, 'dialect') ?? 'thread',
    splitSegments: flagIn(options, 'splitSegments') ?? false,
    ...(bytes === undefined ? {} : { maxStopCopyBytes: BigInt(bytes) }),
    ...(rounds === undefined ? {} : { maxEmptyRounds: rounds }),
  }
}
