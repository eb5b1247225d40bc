import type { Allow, Capability, Next, SeenState } from './states.ts'

/** How many bytes pre-copy has left. Estimates, which drivers get wrong; absent is unknown, not zero. */
export interface PreCopyInfo {
  /** Bytes of initial data, which ought to reach the destination before the device stops. */
  readonly initialBytes?: bigint
  /** Bytes that changed since they were read. */
  readonly dirtyBytes?: bigint
  /** There is new initial data. */
  readonly reinit: boolean
}

/** One line of what a device is. */
export interface PassportEntry {
  /** What the line is about, such as `device` or `size`. */
  readonly key: string
  /** Compared as text. */
  readonly value: string
  /** Whether a destination must have the same value. */
  readonly needed: boolean
}

interface Saving {
  /**
   * The device's data, from pre-copy or stop-copy to its end: one stream, the same object in every handle of the way
   * pre-copy, pre-copy-p2p, stop-copy. It fails once the device leaves these states. Each chunk of a device with a
   * migration region is one of its segments, as large as that is.
   */
  readonly data: ReadableStream<Uint8Array>
}
interface PreCopying extends Saving {
  /**
   * Asks how much data pre-copy has left. Asking can make new data.
   *
   * @throws VfioError `ERR_VFIO_DEVICE_FAILED`, `ERR_VFIO_STALE_HANDLE`, `ERR_VFIO_CLOSED`
   */
  estimate(): Promise<PreCopyInfo>
}
interface Loading {
  /**
   * Takes the device's data. A write resolves once the device has taken all of the chunk; the chunk is copied first. A
   * device with a migration region takes one segment a chunk, and wants the segments that the source gave.
   */
  readonly data: WritableStream<Uint8Array>
}

/** Members that exist only while the device is in that state. */
export interface Facets {
  'pre-copy': PreCopying
  'pre-copy-p2p': PreCopying
  'stop-copy': Saving
  resuming: Loading
}
type FacetOf<S extends SeenState> = S extends keyof Facets ? Facets[S] : unknown

/** How a device of the kernel came to be open. */
export interface Holding {
  /** By which of the kernel's two ways it was opened here; absent if somebody else opened it. */
  readonly by?: 'group' | 'cdev'
  /** The state in which it was found, before anything was done about it. */
  readonly found: SeenState
  /** It was reset because it was found in a state that a dead session had left it in. */
  readonly wasReset: boolean
  /** The kernel resets it at its first open, as it was here, and at its last close. No report counts these resets. */
  readonly resetByOpening: boolean
}

/** A socket that gives a device to other programs, until it is closed. */
export interface Offer extends Disposable {
  readonly path: string
  /** Gives it to nobody any more, and takes the socket away. */
  close(): void
}

/** What every handle has, whatever the state. */
export interface DeviceCore<S extends SeenState, in C extends Capability> extends AsyncDisposable {
  /** Where the device was opened: `model:size=256MiB`. */
  readonly address: string
  /** Its name in sessions, where one was given: the same at both ends. */
  readonly id: string | undefined
  /** The state that this handle stands for. */
  readonly state: S
  /** `region` (v1) or `fsm` (v2). */
  readonly protocol: 'region' | 'fsm'
  /** What the device's migration is capable of, besides stop-copy. */
  readonly capabilities: readonly Capability[]
  /** What the device is and what its state needs from a destination. */
  readonly passport: readonly PassportEntry[]
  /** How a device of the kernel came to be open; nothing for a software device. */
  readonly holding: Holding | undefined
  /** Whether a newer handle has taken this one's place, or the device is closed or in a session. */
  readonly spent: boolean
  /**
   * Whether the device's migration is capable of all of these. In the branch where it is, the compiler knows it too.
   *
   * @example
   * ```ts
   * import { openDevice } from 'vfio-migration'
   * const device = await openDevice('model:size=1MiB,pre-copy')
   * if (device.supports('pre-copy')) {
   *   const pre = await device.to('pre-copy')
   *   console.log((await pre.estimate()).initialBytes)
   * }
   * await device.close()
   * ```
   */
  supports<K extends Capability>(...wanted: K[]): this is Device<S, C | K>
  /**
   * Moves the device and returns the handle for the new state; this handle is spent. If it fails, this handle is spent
   * as well, and `error.details.device` is a live one in the state that the device says it is in now. What the table
   * of arcs has no way for is refused at once and spends nothing; so is what the dialect of a migration region has none
   * for. States are the same for both protocols, and so is what the types allow.
   *
   * A signal is looked at before the device is asked; a change of state that has begun cannot be taken back.
   *
   * @throws VfioError `ERR_VFIO_DEVICE_FAILED`; `ERR_VFIO_USAGE` or `ERR_VFIO_UNSUPPORTED` for a state that cannot be
   * asked for; `ERR_VFIO_STALE_HANDLE`; `ERR_VFIO_CLOSED`
   */
  to<const T extends Next<S>>(
    target: T & Allow<T, C>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Device<T, C>>
  /**
   * Resets the device: everything in it is lost, and it runs. The only way out of `error`. This handle is spent.
   *
   * @throws VfioError `ERR_VFIO_DEVICE_FAILED`, `ERR_VFIO_STALE_HANDLE`, `ERR_VFIO_CLOSED`
   */
  reset(): Promise<Device<'running', C>>
  /**
   * How many bytes stop-copy would give: an estimate, `undefined` where the device cannot say.
   *
   * @throws VfioError `ERR_VFIO_DEVICE_FAILED`, `ERR_VFIO_STALE_HANDLE`, `ERR_VFIO_CLOSED`
   */
  dataSize(): Promise<bigint | undefined>
  /**
   * Gives a device of the kernel to whoever connects to a unix socket: the device's descriptor, then those of its
   * container and group or of its iommufd, by SCM_RIGHTS in one message. The address `fd:unix:PATH` takes them. The device
   * stays open here as well.
   *
   * @throws VfioError `ERR_VFIO_UNSUPPORTED` for a software device; `ERR_VFIO_HOST` if nobody can listen there
   */
  offer(path: string): Offer
  /**
   * Closes the device now, through whichever of its handles; closing twice is no error. A device that is in a session
   * is closed when the session ends.
   */
  close(): Promise<void>
}

/**
 * A VFIO device in the state `S`, known to be capable of `C`. A change of state returns a new handle and spends the old
 * one.
 */
export type Device<S extends SeenState = 'running', C extends Capability = never> = DeviceCore<S, C> & FacetOf<S>

/** A device in any state. Narrow it by `state`. */
export type AnyDevice = { [S in SeenState]: Device<S> }[SeenState]
