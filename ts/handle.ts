import type { BindingDevice } from './binding.ts'
import { record, said, signalIn, text } from './checks.ts'
import { LoadingData, SavingData } from './data.ts'
import type { AnyDevice, Holding, Offer } from './device.ts'
import { usage, VfioError } from './errors.ts'
import { deviceError, isFailure, settle } from './native.ts'
import { type Capability, isState, needs, type SeenState, type State, targets } from './states.ts'

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
    const offer = settle(this.#native().offer(text(path, 'the path of a socket')))
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
    signalIn(record(options))?.throwIfAborted()
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
      throw usage(`${said(target)} is no migration state: ask for one of ${Object.keys(targets).join(', ')}`)
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
