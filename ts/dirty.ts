import type { BindingDirtyLog, BindingDirtyPages } from './binding.ts'
import { isAddress } from './checks.ts'
import type { DeviceCore } from './device.ts'
import { usage, VfioError } from './errors.ts'
import { claimed, type OpenDevice } from './handle.ts'
import { native, settle } from './native.ts'
import type { ArcError, SeenState } from './states.ts'

/** A range of addresses as devices see them. */
export interface DirtyRange {
  /** First address. */
  readonly iova: bigint
  /** In bytes. */
  readonly length: bigint
}

/** What is watched. */
export interface TrackOptions {
  /** In any order, not overlapping, each of whole pages. Those of a lent container or page table: one a mapping. */
  readonly ranges: readonly DirtyRange[]
  /** Bytes of a page: a power of two, and a wish. @default 4096 */
  readonly pageSize?: number
}

/** `unknown` for a device that is known to log what it writes to, else a sentence that says which test is missing. */
export type Tracks<D> =
  D extends DeviceCore<SeenState, 'dirty-tracking'>
    ? unknown
    : ArcError<"dirty tracking is optional: test device.supports('dirty-tracking') first">

/** How many ranges cross from the addon at once. */
const BATCH = 4096

const rangesOf = function* (pages: BindingDirtyPages): Generator<DirtyRange, undefined> {
  let from = 0n
  for (;;) {
    const numbers = pages.ranges(from, BATCH)
    if (numbers.length === 0) return
    for (let at = 0; at < numbers.length; at += 2) {
      const [iova, length] = [numbers[at] as bigint, numbers[at + 1] as bigint]
      from = iova + length
      yield { iova, length }
    }
  }
}

/** The pages of a window that were written to: as ranges, in ascending order and merged, or as bits. */
export class DirtySnapshot implements Iterable<DirtyRange> {
  readonly #pages: BindingDirtyPages
  #words: BigUint64Array | undefined
  /** Where the page of the first bit lies. */
  readonly iova: bigint
  /** Bytes a page. */
  readonly pageSize: number

  /** @internal */
  constructor(pages: BindingDirtyPages, iova: bigint) {
    this.#pages = pages
    this.iova = iova
    this.pageSize = Number(pages.pageSize)
  }

  /** One bit a page, as the kernel lays them out: bit `i % 64` of word `i / 64`. */
  get words(): BigUint64Array {
    this.#words ??= this.#pages.words()
    return this.#words
  }

  /** How many pages were written to. */
  count(): number {
    return Number(this.#pages.count())
  }

  [Symbol.iterator](): IterableIterator<DirtyRange, undefined> {
    return rangesOf(this.#pages)
  }
}

/**
 * A log of what a device writes to, by {@link trackDirty}. It goes on through every state of the device and while the device
 * is in a session; as long as the device can write, no reading is the last.
 */
export class DirtyLog implements AsyncDisposable {
  readonly #native: BindingDirtyLog
  readonly #device: OpenDevice
  #closed: Promise<void> | undefined

  /** @internal */
  constructor(log: BindingDirtyLog, device: OpenDevice) {
    this.#native = log
    this.#device = device
    device.logs.add(this)
  }

  /** Bytes of the pages in which it is read: a window is made of them. */
  get pageSize(): number {
    return Number(this.#open().pageSize)
  }

  /**
   * Reads and clears what was written to since the last time: ranges in ascending order, merged. All is read before the
   * first range comes. Of a loop that is left early, what it has not had is read again the next time.
   *
   * @param window Leaves the rest for later. A container or page table refuses one that cuts a mapping in two.
   * @throws VfioError `ERR_VFIO_USAGE` for a window that cuts a page in two: nothing was read; `ERR_VFIO_MEMORY_FAILED` once
   * the log could not be read: it is lost, everything counts as written to, and reading goes on failing; `ERR_VFIO_CLOSED`
   */
  async *drain(window?: DirtyRange): AsyncGenerator<DirtyRange, undefined, undefined> {
    const log = this.#open()
    const pages = settle(await log.drain(window === undefined ? undefined : checked(window)))
    let had: bigint | undefined = 0n
    try {
      for (const range of rangesOf(pages)) {
        had = range.iova + range.length
        yield range
      }
      had = undefined
    } finally {
      if (had !== undefined) log.giveBack(pages, had)
    }
  }

  /**
   * As {@link drain}, all at once, of a window that is within one range of the log.
   *
   * @throws VfioError as {@link drain}, and `ERR_VFIO_USAGE` for a window that is not within one range
   */
  async snapshot(window: DirtyRange): Promise<DirtySnapshot> {
    return new DirtySnapshot(settle(await this.#open().snapshot(checked(window))), window.iova)
  }

  /**
   * Stops the log. Closing twice is no error; a device that is closed closes its log.
   *
   * @throws VfioError `ERR_VFIO_MEMORY_FAILED` if a tracker did not stop
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** As {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close() {
    this.#device.logs.delete(this)
    settle(await this.#native.close())
  }

  #open() {
    if (this.#closed === undefined) return this.#native
    throw new VfioError('ERR_VFIO_CLOSED', `the log of dirty pages of ${this.#device.address} is closed`, {
      remedy: 'track them again',
    })
  }
}

/**
 * Starts a log of the pages that a device writes to: for programs that move guest memory themselves. The device's handle
 * stays as it is. The device's own log is used, or what was lent when the device was opened where that does not work; one
 * that does not work is found out now.
 *
 * @throws VfioError `ERR_VFIO_USAGE` for ranges that cannot be, or if there is a log already; `ERR_VFIO_UNSUPPORTED` if
 * nothing tracks; `ERR_VFIO_MEMORY_FAILED` if a tracker fails otherwise; `ERR_VFIO_STALE_HANDLE`, `ERR_VFIO_CLOSED`
 *
 * @example
 * ```ts
 * import { trackDirty } from 'vfio-migration'
 * import { GuestMemory, openModel } from 'vfio-migration/model'
 * const memory = new GuestMemory({ length: 1n << 20n })
 * const { device, model } = await openModel('model:size=1MiB,dirty-tracking', { memory })
 * if (device.supports('dirty-tracking')) {
 *   await using log = await trackDirty(device, { ranges: [memory] })
 *   await model.resumeGuest()
 *   for await (const { iova, length } of log.drain()) console.log(`${length} bytes at ${iova}`)
 * }
 * await device.close()
 * ```
 */
export const trackDirty = async <D extends DeviceCore<SeenState, never>>(
  device: D & Tracks<D>,
  options: TrackOptions,
): Promise<DirtyLog> => {
  const opened = claimed(device)
  const { ranges, pageSize = 4096 } = options ?? {}
  if (!Array.isArray(ranges)) throw usage('ranges is a list of ranges')
  const all = ranges.map(checked)
  if (!Number.isSafeInteger(pageSize) || pageSize <= 0)
    throw usage(`pageSize is a number of bytes from 1 on, not ${String(pageSize)}`)
  if (!device.capabilities.includes('dirty-tracking')) {
    throw new VfioError('ERR_VFIO_UNSUPPORTED', `${opened.address} does not log what it writes to`, {
      missing: ['dirty-tracking'],
      remedy: "test device.supports('dirty-tracking') first, or lend it other tracking when you open it",
    })
  }
  return new DirtyLog(settle(await native().trackDirty(opened.native, all, BigInt(pageSize))), opened)
}

const checked = (range: DirtyRange) => {
  const { iova, length } = range ?? {}
  if (!isAddress(iova) || !isAddress(length))
    throw usage('a range has an iova and a length: bigints from 0 to 2^64 - 1')
  return { iova, length }
}
