/**
 * The software device's own face, for tests and demonstrations: a guest that can be paused, guest memory, and what the
 * device knows for certain about what a migration must bring across.
 *
 * @module
 */
import type { BindingGuestMemory, BindingModel } from './binding.ts'
import { isAddress, record, said, text } from './checks.ts'
import type { Device } from './device.ts'
import { usage } from './errors.ts'
import { OpenDevice } from './handle.ts'
import { native, settle } from './native.ts'
import { nativeOptions, type OpenOptions } from './open.ts'
import type { SeenState } from './states.ts'

const PAGE = 4096n

/**
 * Guest memory that software devices write to, and that a session moves.
 *
 * @example
 * ```ts
 * import { GuestMemory } from 'vfio-migration/model'
 * const memory = new GuestMemory({ length: 1n << 20n })
 * const digests = await memory.pageDigests()
 * console.log(digests.length, await memory.pagesUnlike(digests)) // 256 0
 * ```
 */
export class GuestMemory {
  /** Where devices see it. */
  readonly iova: bigint
  /** In bytes. */
  readonly length: bigint
  readonly #native: BindingGuestMemory

  /**
   * Zeroed memory.
   *
   * @throws VfioError `ERR_VFIO_USAGE` unless both numbers are multiples of 4096, the length is not 0 and the end is below
   * 2^64; `ERR_VFIO_HOST` where there is not so much memory
   */
  constructor(where: { readonly iova?: bigint; readonly length: bigint }) {
    const { iova = 0n, length } = record(where, 'guest memory is described by an object')
    if (!isAddress(iova) || !isAddress(length) || length === 0n || iova % PAGE || length % PAGE)
      throw usage('guest memory has an iova and a length that are bigints and multiples of 4096, below 2^64')
    this.#native = settle(native().guestMemory(iova, length))
    this.iova = iova
    this.length = length
  }

  /** @internal */
  static nativeOf(memory: unknown) {
    if (memory instanceof GuestMemory) return memory.#native
    throw usage(`memory is a GuestMemory, not ${said(memory)}`)
  }

  /** A number for what each page holds, to compare with other memory. */
  async pageDigests(): Promise<BigUint64Array> {
    return settle(await this.#native.pageDigests())
  }

  /**
   * How many pages hold something else than these numbers say.
   *
   * @throws VfioError `ERR_VFIO_USAGE` unless there is one of each page
   */
  async pagesUnlike(digests: BigUint64Array): Promise<number> {
    const named = Object.prototype.toString.call(digests)
    if (named !== '[object BigUint64Array]' || BigInt(digests.length) * PAGE !== this.length)
      throw usage('digests are those that pageDigests() has given, one of each page')
    return settle(await this.#native.pagesUnlike(digests))
  }
}

/** The world around a software device. */
export class Model {
  readonly #native: BindingModel

  /** @internal */
  constructor(model: BindingModel) {
    this.#native = model
  }

  /** Stops the guest; resolves once it does not touch the device any more. */
  async pauseGuest(): Promise<void> {
    settle(await this.#native.pauseGuest())
  }

  /** Lets the guest run. It is paused at first. */
  async resumeGuest(): Promise<void> {
    settle(await this.#native.resumeGuest())
  }

  /** What the device holds, as one number to compare: 32 hexadecimal digits. */
  async proof(): Promise<string> {
    return settle(await this.#native.proof())
  }

  /** In how many ticks the device ran, wherever it was. */
  async counter(): Promise<bigint> {
    return settle(await this.#native.counter())
  }

  /** What the device held when it last entered stop: after a restore, before it ran. Absent if it never did. */
  get stopped(): { readonly proof: string; readonly counter: bigint } | undefined {
    return this.#native.stopped ?? undefined
  }

  /** How many pages of the memory do not hold what this device last wrote to them. */
  async missed(memory: GuestMemory): Promise<number> {
    return settle(await this.#native.missed(GuestMemory.nativeOf(memory)))
  }

  /** How often the device was reset. */
  get resets(): number {
    return Number(this.#native.resets())
  }

  /** How often the guest touched the device where it must not. */
  get touches(): number {
    return Number(this.#native.touches())
  }

  /**
   * Changes what goes wrong from now on: faults as in an address, `read@3:EIO`.
   *
   * @throws VfioError `ERR_VFIO_USAGE`
   */
  setFaults(...faults: string[]): void {
    settle(this.#native.setFaults(faults.map((fault) => text(fault, 'a fault')).join(',')))
  }

  /** Ends all planned delays, those under way and those to come: a call that hangs returns now. */
  releaseDelays(): void {
    this.#native.releaseDelays()
  }
}

/** How a software device is opened. */
export interface ModelOptions extends OpenOptions {
  /** The guest memory that its DMA writes to. @default none */
  readonly memory?: GuestMemory
}

/**
 * Opens a software device together with the world around it.
 *
 * @throws VfioError as `openDevice`
 *
 * @example
 * ```ts
 * import { openModel } from 'vfio-migration/model'
 * const { device, model } = await openModel('model:size=1MiB,seed=7')
 * await model.resumeGuest()
 * const stopped = await device.to('stop')
 * console.log(await model.proof(), model.resets)
 * await stopped.close()
 * ```
 */
export const openModel = async (
  address: string,
  options: ModelOptions = {},
): Promise<{ readonly device: Device; readonly model: Model }> => {
  const opening = nativeOptions(options)
  const memory = options.memory === undefined ? undefined : GuestMemory.nativeOf(options.memory)
  const device = settle(await native().openDevice(text(address, 'an address'), memory, opening))
  const model = device.model
  if (model === null) throw usage(`${address} is no software device`)
  const opened = new OpenDevice(device, address, options.id)
  return { device: opened.handle(settle(await device.state()) as SeenState) as Device, model: new Model(model) }
}
