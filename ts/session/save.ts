import type { BindingSink } from '../binding.ts'
import { flagIn, millisecondsIn, record, signalIn } from '../checks.ts'
import type { Device } from '../device.ts'
import { usage } from '../errors.ts'
import type { GuestMemory } from '../model.ts'
import { native, settle } from '../native.ts'
import { memoryOf, type Parts, SessionCore } from './core.ts'
import { openingOf, openSink, type PlaceOptions, type Sink } from './place.ts'
import type { Outcome, Summary } from './report.ts'
import { Session } from './session.ts'
import { readableOf } from './streams.ts'

/** A device that can be saved: one that runs, or was stopped. */
export type Savable = Device<'running'> | Device<'running-p2p'> | Device<'stop'>

/** How a save goes. */
export interface SaveOptions {
  /**
   * Cancels the session: it ends with `ERR_VFIO_CANCELLED`, every device comes back. After the guest was given up it
   * is too late; then an event says so and the session goes on.
   */
  readonly signal?: AbortSignal
  /** Guest memory that is moved as well; trackers of the devices say which of its pages changed. @default none */
  readonly memory?: GuestMemory
  /** For every wait, in milliseconds. @default 30_000 */
  readonly deadlineMs?: number
  /** Switch over once the estimated rest fits this budget, in milliseconds. @default 300 */
  readonly downtimeBudgetMs?: number
  /** Switch over at the latest after this long in pre-copy, in milliseconds. @default 30_000 */
  readonly maxPreCopyMs?: number
  /** Whether to use pre-copy at all. @default true */
  readonly preCopy?: boolean
  /** Most bytes a second. @default as fast as it goes */
  readonly rate?: bigint | number
  /** Payload of one frame in bytes. @default 1_048_576 */
  readonly chunk?: number
  /** How many chunks may be in flight. @default 8 */
  readonly depth?: number
  /** What a one-way save does at its end: the guest has left, or this was a snapshot and it goes on here. @default 'stop' */
  readonly then?: 'stop' | 'resume'
  /** What happens to a device that no arc leads back. A reset wipes what the guest still needs. @default 'leave' */
  readonly onUnrecoverable?: 'leave' | 'reset'
  /** Your word that no device of the group accesses another; needed where one has no P2P state. @default false */
  readonly noP2pTraffic?: boolean
  /** End after the passports were checked. @default false */
  readonly dryRun?: boolean
  /** Write no events and no report into the stream. @default true */
  readonly events?: boolean
  /** Pause the guest: when it resolves, no vCPU runs and nobody touches the devices. Told what pre-copy left to do. */
  readonly pause?: (left: bigint | undefined) => void | Promise<void>
  /** The guest stays here after all: let it run. Called once if `pause` was started, never while in doubt. */
  readonly unpause?: (outcome: Outcome) => void | Promise<void>
}

/**
 * The source's end of a migration. It has one stream: start it with {@link sendTo}, or read {@link readable}.
 *
 * @example
 * ```ts
 * import { openDevice, save } from 'vfio-migration'
 * const device = await openDevice('model:size=1MiB')
 * const session = await save(device, { then: 'resume' })
 * let bytes = 0
 * for await (const chunk of session) bytes += chunk.byteLength
 * const { outcome, devices } = await session.done
 * await devices[0]?.device?.close()
 * ```
 */
export class SaveSession extends Session implements AsyncIterable<Uint8Array> {
  readonly #core: SessionCore
  readonly #options: SaveOptions
  #readable: ReadableStream<Uint8Array> | undefined

  /** @internal */
  constructor(core: SessionCore, options: SaveOptions) {
    super(core)
    this.#core = core
    this.#options = options
  }

  /**
   * Starts the session towards a place. Bytes go natively to addresses and descriptors, through JavaScript to streams.
   *
   * @throws VfioError of any code, with `details.summary`: how it ended, and a live handle for every device
   */
  sendTo(sink: Sink, options: PlaceOptions = {}): Promise<Summary> {
    return this.#start((parts) => openSink(sink, openingOf(options, parts)))
  }

  /** Starts the session towards whoever reads this: one-way, with the reader's own speed. */
  get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= this.#read()
    return this.#readable
  }

  /** The chunks of {@link readable}. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.readable[Symbol.asyncIterator]()
  }

  /**
   * Ends pre-copy now.
   *
   * @throws VfioError `ERR_VFIO_TOO_LATE`, `ERR_VFIO_USAGE` if the session is not running
   */
  switchover(): void {
    this.#core.command((session) => session.switchover())
  }

  /**
   * Only while in doubt: asks the destination to withdraw and takes the guest back; with `force` without its answer,
   * because you know that the destination does not run.
   *
   * @throws VfioError `ERR_VFIO_USAGE` if it is not in doubt; otherwise as {@link done}
   */
  takeBack(options: { readonly force?: boolean } = {}): Promise<Summary> {
    this.#core.command((session) => session.takeBack(flagIn(record(options), 'force') ?? false))
    return this.done
  }

  #read() {
    const pipe = new (native().BindingPipe)()
    void this.#start(() => pipe.sink(false))
    return readableOf(pipe)
  }

  #start(open: (parts: Parts) => BindingSink | Promise<BindingSink>) {
    return this.#core.start(async (parts) => {
      const { ids, devices } = parts
      const opened = await open(parts)
      const [options, memory] = [nativeOptions(this.#options), memoryOf(this.#options)]
      return settle(await native().startSave(options, ids, devices, memory, opened))
    })
  }
}

/**
 * Makes the source's end of a migration, of one device or many. The handles are spent; the summary has new ones. Devices
 * of one IOMMU group that are open move together: a session without one of them does not start (`ERR_VFIO_USAGE`).
 *
 * @throws VfioError `ERR_VFIO_USAGE`, `ERR_VFIO_STALE_HANDLE`, `ERR_VFIO_CLOSED`; the signal's reason if it was aborted
 * before. Then nothing was spent.
 *
 * @example
 * ```ts
 * import { openDevice, save } from 'vfio-migration'
 * const devices = [await openDevice('model:size=1MiB,p2p'), await openDevice('model:size=2MiB,p2p')]
 * const session = await save(devices, { downtimeBudgetMs: 100, pause: () => console.log('stop the vCPUs') })
 * session.cancel()
 * await session.done.catch((error) => console.log(error.code)) // ERR_VFIO_CANCELLED
 * ```
 */
export const save = async (devices: Savable | readonly Savable[], options: SaveOptions = {}): Promise<SaveSession> => {
  nativeOptions(options)
  memoryOf(options)
  const { pause, unpause } = options
  return new SaveSession(new SessionCore('save', devices, signalIn(options), { pause, unpause }), options)
}

const positive = (options: SaveOptions, name: 'chunk' | 'depth') => {
  const value = options[name]
  if (value === undefined || (Number.isInteger(value) && value > 0 && value < 2 ** 32)) return value
  throw usage(`${name} is a whole number from 1 on, not ${String(value)}`)
}

const rateOf = ({ rate }: SaveOptions) => {
  if (rate === undefined) return undefined
  if (typeof rate === 'bigint' ? rate > 0n && rate < 1n << 64n : Number.isSafeInteger(rate) && rate > 0)
    return BigInt(rate)
  throw usage(`rate is a whole number of bytes a second from 1 on, not ${String(rate)}`)
}

const oneOf = <T extends string>(name: string, value: T | undefined, all: readonly T[]) => {
  if (value === undefined || all.includes(value)) return value
  throw usage(`${name} is ${all.map((one) => `'${one}'`).join(' or ')}, not '${String(value)}'`)
}

const nativeOptions = (options: SaveOptions) => {
  record(options)
  const then = oneOf('then', options.then, ['stop', 'resume'])
  const unrecoverable = oneOf('onUnrecoverable', options.onUnrecoverable, ['leave', 'reset'])
  const events = flagIn(options, 'events')
  const all = {
    chunk: positive(options, 'chunk'),
    depth: positive(options, 'depth'),
    deadlineMs: millisecondsIn(options, 'deadlineMs'),
    downtimeBudgetMs: millisecondsIn(options, 'downtimeBudgetMs'),
    maxPreCopyMs: millisecondsIn(options, 'maxPreCopyMs'),
    preCopy: flagIn(options, 'preCopy'),
    rate: rateOf(options),
    resume: then === 'resume',
    resetUnrecoverable: unrecoverable === 'reset',
    noP2PTraffic: flagIn(options, 'noP2pTraffic'),
    dryRun: flagIn(options, 'dryRun'),
    noEvents: events === undefined ? undefined : !events,
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}
