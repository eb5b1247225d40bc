import type { BindingDevice } from './binding.ts'
import { LoadingData, SavingData } from './data.ts'
import { usage, VfioError } from './errors.ts'
import { deviceError, isFailure, settle } from './native.ts'
import {
  type Allow,
  type Capability,
  isState,
  type Next,
  needs,
  type SeenState,
  type State,
  targets,
} from './states.ts'

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

/** @internal One device, whatever handles there are for it. The newest handle is the one that may be used. */
export class OpenDevice {
  readonly address: string
  readonly id: string | undefined
  readonly #native: BindingDevice
  #current: Handle | undefined
  #where: 'here' | 'in a session' | 'closed' = 'here'
  saving: SavingData | undefined
  loading: LoadingData | undefined
  /** Logs of the pages that it writes to. They keep it open. */
  readonly logs = new Set<{ close(): Promise<void> }>()

  constructor(device: BindingDevice, address: string, id: string | undefined) {
    this.#native = device
    this.address = address
    this.id = id
  }

  get closed() {
    return this.#where === 'closed'
  }

  /** The native device, unless it is closed or somebody else's for now. */
  get native(): BindingDevice {
    if (this.#where === 'here') return this.#native
    if (this.#where === 'closed') {
      throw new VfioError('ERR_VFIO_CLOSED', `device ${this.address} is closed`, { remedy: 'open it again' })
    }
    throw usage(`device ${this.address} is in a session`, {
      remedy: 'wait for the session: its summary has the new handle',
    })
  }

  /** Makes the handle for a state, and spends the one before. */
  handle(state: SeenState): AnyDevice {
    const saves = state === 'pre-copy' || state === 'pre-copy-p2p' || state === 'stop-copy'
    if (!saves) this.endSaving(state)
    else this.saving ??= new SavingData(this.#native)
    if (state !== 'resuming') this.endLoading(state)
    else this.loading ??= new LoadingData(this.#native)
    this.#current = new Handle(this, state)
    return this.#current as unknown as AnyDevice
  }

  isCurrent(handle: Handle) {
    return this.#current === handle
  }

  spend() {
    this.#current = undefined
  }

  endSaving(now: string) {
    this.saving?.end(now)
    this.saving = undefined
  }

  endLoading(now: string) {
    this.loading?.end(now)
    this.loading = undefined
  }

  /** Hands the native device to a session, until {@link putBack}. */
  lend(): BindingDevice {
    const device = this.native
    this.#where = 'in a session'
    this.#leave()
    return device
  }

  /** The session is over. Nothing comes back if somebody closed the device meanwhile. */
  putBack(state: SeenState): AnyDevice | undefined {
    if (this.#where === 'in a session') this.#where = 'here'
    return this.closed ? undefined : this.handle(state)
  }

  async close() {
    const before = this.#where
    if (before === 'closed') return
    this.#where = 'closed'
    this.#leave()
    const closed = this.#native.close()
    const logs = await Promise.allSettled([...this.logs].map((log) => log.close()))
    // A session has it: it is closed when it comes back, which may be never while in doubt.
    if (before === 'here') settle(await closed)
    for (const log of logs) if (log.status === 'rejected') throw log.reason
  }

  #leave() {
    this.spend()
    this.endSaving(this.#where)
    this.endLoading(this.#where)
  }
}

/** The class of all handles. Types say what a handle has in its state; at run time the same is checked here. */
class Handle {
  readonly #device: OpenDevice
  readonly state: SeenState

  constructor(device: OpenDevice, state: SeenState) {
    this.#device = device
    this.state = state
  }

  static deviceOf(handle: Handle) {
    return handle.#device
  }

  get address() {
    return this.#device.address
  }

  get id() {
    return this.#device.id
  }

  get protocol() {
    return this.#native().protocol
  }

  get capabilities() {
    return this.#native().capabilities as Capability[]
  }

  get passport() {
    return this.#native().passport
  }

  get holding() {
    return (this.#native().holding ?? undefined) as Holding | undefined
  }

  offer(path: string): Offer {
    const offer = settle(this.#native().offer(path))
    const close = () => offer.close()
    return { path, close, [Symbol.dispose]: close }
  }

  get spent() {
    return !this.#device.isCurrent(this)
  }

  supports(...wanted: Capability[]) {
    const capabilities = this.capabilities
    return wanted.every((capability) => capabilities.includes(capability))
  }

  async to(target: State, options: { readonly signal?: AbortSignal } = {}) {
    const device = this.#native()
    this.#check(target)
    options.signal?.throwIfAborted()
    // Claimed before the first await: a second caller finds this handle spent, not a device in two minds.
    this.#device.spend()
    const result = await device.setState(target)
    if (isFailure(result)) throw deviceError(result, this.state, target, this.#device)
    return this.#device.handle(result as SeenState)
  }

  async reset() {
    const device = this.#native()
    this.#device.spend()
    const result = await device.reset()
    if (isFailure(result)) throw deviceError(result, this.state, 'running', this.#device)
    this.#device.endSaving('reset')
    return this.#device.handle(result as SeenState)
  }

  async dataSize() {
    return settle(await this.#native().dataSize()) ?? undefined
  }

  get data() {
    this.#native()
    const data = this.#device.saving?.stream ?? this.#device.loading?.stream
    if (data === undefined)
      throw usage(
        `a device in ${this.state} has no data stream: it has one in pre-copy, pre-copy-p2p, stop-copy and resuming`,
      )
    return data
  }

  async estimate() {
    const device = this.#native()
    if (this.state !== 'pre-copy' && this.state !== 'pre-copy-p2p')
      throw usage(`a device in ${this.state} gives no estimate: it does in pre-copy and pre-copy-p2p`)
    const { initial, dirty, reinit } = settle(await device.preCopyInfo())
    return {
      ...(initial === undefined ? {} : { initialBytes: initial }),
      ...(dirty === undefined ? {} : { dirtyBytes: dirty }),
      reinit,
    }
  }

  close() {
    return this.#device.close()
  }

  [Symbol.asyncDispose]() {
    return this.#device.close()
  }

  #native() {
    const device = this.#device.native
    if (this.spent) {
      throw new VfioError(
        'ERR_VFIO_STALE_HANDLE',
        `this handle for '${this.state}' of ${this.address} was already used`,
        {
          state: this.state,
          remedy: 'use the handle that the change of state returned, or the one in the error that it threw',
        },
      )
    }
    return device
  }

  /** What the compiler refuses, said again for those who have none. */
  #check(target: State) {
    if (!isState(target))
      throw usage(`'${target}' is no migration state: ask for one of ${Object.keys(targets).join(', ')}`)
    const allowed: readonly State[] = isState(this.state) ? targets[this.state] : []
    if (target !== this.state && !allowed.includes(target)) {
      const ways =
        allowed.length === 0 ? 'only reset() leads out of it' : `from there ${allowed.join(', ')} can be asked for`
      throw usage(`no arcs lead from ${this.state} to ${target}: ${ways}`)
    }
    const wanted: readonly Capability[] = target in needs ? needs[target as keyof typeof needs] : []
    const missing = wanted.filter((capability) => !this.capabilities.includes(capability))
    if (missing.length > 0) {
      throw new VfioError(
        'ERR_VFIO_UNSUPPORTED',
        `${this.address} has no state ${target}: it lacks ${missing.join(' and ')}`,
        {
          missing,
          remedy: `test device.supports('${missing[0]}') first`,
        },
      )
    }
    if (!this.#native().hasWay(this.state, target)) {
      throw new VfioError('ERR_VFIO_UNSUPPORTED', `${this.address} has no way from ${this.state} to ${target}`, {
        remedy: 'go by running: what a migration region is asked for depends on its dialect',
      })
    }
  }
}

/** @internal The open device behind a handle that may still be used. */
export const claimed = (handle: unknown): OpenDevice => {
  if (!(handle instanceof Handle)) throw usage('not a device: open one with openDevice()')
  const device = Handle.deviceOf(handle)
  void device.native
  // A spent handle says so in the same words as everywhere.
  void handle.capabilities
  return device
}
