import { record, said, text } from './checks.ts'
import type { AnyDevice, Holding, PassportEntry } from './device.ts'
import { type FoundDevice, findDevice, type HostOptions } from './discovery.ts'
import { usage, VfioError } from './errors.ts'
import { type OpenOptions, openDevice } from './open.ts'
import type { Capability, SeenState } from './states.ts'

/** What an open device says of itself. */
export interface Probe {
  /** How it was opened. */
  readonly address: string
  /** `region` (v1) or `fsm` (v2). */
  readonly protocol: 'region' | 'fsm'
  /** The state that it was found in. */
  readonly state: SeenState
  /** What its migration is capable of, besides stop-copy. */
  readonly capabilities: readonly Capability[]
  /** What it is and what its state needs from a destination. */
  readonly passport: readonly PassportEntry[]
  /** How many bytes stop-copy would give; absent where the device cannot say. */
  readonly dataSize?: bigint
  /** How a device of the kernel came to be open: whether that reset it, for one. */
  readonly holding?: Holding
}

/** How a device is probed. */
export interface ProbeOptions extends HostOptions {
  /**
   * Called before the device is opened, with what can be seen of it: whether that resets it, for one. What it throws
   * leaves the device alone. Not called for a device that is not the kernel's or that somebody else opened.
   */
  readonly beforeOpening?: (found: FoundDevice) => void | Promise<void>
  /** As in {@link OpenOptions}. */
  readonly experimentalRegion?: OpenOptions['experimentalRegion']
}

/** Schemes of devices that the kernel has and that are opened here. */
const OPENED_HERE = /^(?:vfio|mdev|cdev):/

/**
 * Opens a device, asks what it is capable of, and closes it. A device that somebody has open is left alone.
 *
 * @throws VfioError `ERR_VFIO_HOST` if it is in use or absent, and whatever `openDevice` throws
 *
 * @example
 * ```ts
 * import { probe } from 'vfio-migration'
 * const { protocol, capabilities } = await probe('model:size=1MiB,pre-copy')
 * console.log(protocol, capabilities) // fsm [ 'pre-copy' ]
 * ```
 */
export const probe = async (address: string, options: ProbeOptions = {}): Promise<Probe> => {
  const { beforeOpening, experimentalRegion, ...host } = record(options)
  if (beforeOpening !== undefined && typeof beforeOpening !== 'function')
    throw usage(`beforeOpening is a function, not ${said(beforeOpening)}`)
  const found = OPENED_HERE.test(text(address, 'an address')) ? await findDevice(address, host) : undefined
  if (found) {
    refuseIfUsed(found)
    await beforeOpening?.(found)
  }
  const device: AnyDevice = await openDevice(address, experimentalRegion === undefined ? {} : { experimentalRegion })
  try {
    const { protocol, state, capabilities, passport, holding } = device
    const dataSize = await device.dataSize()
    return {
      address: device.address,
      protocol,
      state,
      capabilities,
      passport,
      ...(dataSize === undefined ? {} : { dataSize }),
      ...(holding ? { holding } : {}),
    }
  } finally {
    await device.close()
  }
}

const refuseIfUsed = ({ name, inUse, holders }: FoundDevice) => {
  if (inUse !== 'yes') return
  const by = holders.map(({ command, pid }) => `${command} (pid ${pid})`).join(', ')
  const fd = holders.find(({ deviceFd }) => deviceFd !== undefined)
  throw new VfioError('ERR_VFIO_HOST', `${name} is in use by ${by}: a device in use is never probed`, {
    remedy: `probe what that program hands over: ${fd ? `pidfd:${fd.pid}:${fd.deviceFd}` : 'pidfd:PID:FD'} or fd:unix:PATH`,
  })
}
