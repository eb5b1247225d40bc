import type { BindingSource } from '../binding.ts'
import { flagIn, millisecondsIn, record, signalIn } from '../checks.ts'
import type { Device } from '../device.ts'
import type { GuestMemory } from '../model.ts'
import { native, settle } from '../native.ts'
import { memoryOf, type Parts, SessionCore } from './core.ts'
import { openingOf, openSource, type PlaceOptions, type Source } from './place.ts'
import type { Summary } from './report.ts'
import { Session } from './session.ts'
import { writableOf } from './streams.ts'

/** How a restore goes. */
export interface RestoreOptions {
  /**
   * Cancels the session: it ends with `ERR_VFIO_CANCELLED`, and devices that have entered resuming are reset. Once the
   * source has given the guest up it is too late; then an event says so and the session goes on.
   */
  readonly signal?: AbortSignal
  /** Guest memory that is moved as well; trackers of the devices say which of its pages changed. @default none */
  readonly memory?: GuestMemory
  /** For every wait, in milliseconds. @default 30_000 */
  readonly deadlineMs?: number
  /**
   * Whether the guest runs here after a one-way stream.
   *
   * @default what stopped at its source runs here, a snapshot stays in stop
   */
  readonly run?: boolean
  /** Your word that no device of the group accesses another; needed where one has no P2P state. @default false */
  readonly noP2pTraffic?: boolean
  /** All is loaded, nothing has left resuming: restore PCI config and interrupts here. An error refuses the guest. */
  readonly configure?: () => void | Promise<void>
  /** The devices run: let the guest run. */
  readonly takeOver?: () => void | Promise<void>
}

/**
 * The destination's end of a migration. It has one stream: start it with {@link receiveFrom}, or write to
 * {@link writable}.
 *
 * @example
 * ```ts
 * import { openDevice, restore, save } from 'vfio-migration'
 * const source = await save(await openDevice('model:size=1MiB,seed=7'))
 * const destination = await restore(await openDevice('model:size=1MiB,seed=7'))
 * await Promise.all([source.readable.pipeTo(destination.writable), source.done, destination.done])
 * ```
 */
export class RestoreSession extends Session {
  readonly #core: SessionCore
  readonly #options: RestoreOptions
  #writable: WritableStream<Uint8Array> | undefined

  /** @internal */
  constructor(core: SessionCore, options: RestoreOptions) {
    super(core)
    this.#core = core
    this.#options = options
  }

  /**
   * Starts the session from a place. On sockets it listens; an event `listening` says where, with the port that it got.
   * Bytes come natively from addresses and descriptors, through JavaScript from streams.
   *
   * @throws VfioError of any code, with `details.summary`: how it ended, and a live handle for every device
   */
  receiveFrom(source: Source, options: PlaceOptions = {}): Promise<Summary> {
    return this.#start((parts) => openSource(source, openingOf(options, parts)))
  }

  /** Starts the session from whoever writes to this: one-way, with the devices' own speed. */
  get writable(): WritableStream<Uint8Array> {
    this.#writable ??= this.#write()
    return this.#writable
  }

  /**
   * Only while in doubt: you know that the source does not run, so the guest is taken over here.
   *
   * @throws VfioError `ERR_VFIO_USAGE` if it is not in doubt; otherwise as {@link done}
   */
  claim(): Promise<Summary> {
    this.#core.command((session) => session.claim())
    return this.done
  }

  #write() {
    const pipe = new (native().BindingPipe)()
    void this.#start(() => pipe.source(false))
    return writableOf(pipe)
  }

  #start(open: (parts: Parts) => BindingSource | Promise<BindingSource>) {
    return this.#core.start(async (parts) => {
      const { ids, devices } = parts
      const opened = await open(parts)
      const [options, memory] = [nativeOptions(this.#options), memoryOf(this.#options)]
      return settle(await native().startRestore(options, ids, devices, memory, opened))
    })
  }
}

/**
 * Makes the destination's end of a migration, of one device or many, as they were at the source. The handles are spent;
 * the summary has new ones. Devices of one IOMMU group that are open move together: a session without one of them does not
 * start (`ERR_VFIO_USAGE`).
 *
 * @throws VfioError `ERR_VFIO_USAGE`, `ERR_VFIO_STALE_HANDLE`, `ERR_VFIO_CLOSED`; the signal's reason if it was aborted
 * before. Then nothing was spent.
 *
 * @example
 * ```ts
 * import { openDevice, restore } from 'vfio-migration'
 * const session = await restore(await openDevice('model:size=1MiB'), { takeOver: () => console.log('run the vCPUs') })
 * session.cancel()
 * await session.done.catch((error) => console.log(error.code)) // ERR_VFIO_CANCELLED
 * ```
 */
export const restore = async (
  devices: Device | readonly Device[],
  options: RestoreOptions = {},
): Promise<RestoreSession> => {
  nativeOptions(options)
  memoryOf(options)
  const { configure, takeOver } = options
  return new RestoreSession(new SessionCore('restore', devices, signalIn(options), { configure, takeOver }), options)
}

const nativeOptions = (options: RestoreOptions) => {
  const deadlineMs = millisecondsIn(record(options), 'deadlineMs')
  const [run, noP2PTraffic] = [flagIn(options, 'run'), flagIn(options, 'noP2pTraffic')]
  return {
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(run === undefined ? {} : { run }),
    ...(noP2PTraffic === undefined ? {} : { noP2PTraffic }),
  }
}
