import type { Device } from '../device.ts'
import { usage } from '../errors.ts'
import { GuestMemory } from '../model.ts'
import { native, settle } from '../native.ts'
import { milliseconds, openingOf, SessionCore } from './core.ts'
import type { SessionEvent } from './events.ts'
import { openSource, type PlaceOptions, type Source } from './place.ts'
import type { Summary } from './report.ts'
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
export class RestoreSession implements AsyncDisposable {
  readonly #core: SessionCore
  readonly #options: RestoreOptions
  #writable: WritableStream<Uint8Array> | undefined

  /** @internal */
  constructor(core: SessionCore, options: RestoreOptions) {
    this.#core = core
    this.#options = options
  }

  /** How it ends: the same promise as the one that started it. */
  get done(): Promise<Summary> {
    return this.#core.done
  }

  /** Whether it cannot be known who owns the guest, so that you must decide: {@link claim} or {@link discard}. */
  get inDoubt(): boolean {
    return this.#core.inDoubt
  }

  /** The session's events. Each goes to one reader; progress may be merged, changes of state are never dropped. */
  events(): AsyncIterableIterator<SessionEvent, undefined> {
    return this.#core.events.read()
  }

  /**
   * Starts the session from a place. On sockets it listens; an event `listening` says where, with the port that it got.
   * Bytes come natively from addresses and descriptors, through JavaScript from streams.
   *
   * @throws VfioError of any code, with `details.summary`: how it ended, and a live handle for every device
   */
  receiveFrom(source: Source, options: PlaceOptions = {}): Promise<Summary> {
    return this.#core.start(async (parts) => {
      const opened = await openSource(source, openingOf(options, parts))
      return settle(
        await native().startRestore(
          nativeOptions(this.#options),
          parts.ids,
          parts.devices,
          memoryOf(this.#options),
          opened,
        ),
      )
    })
  }

  /** Starts the session from whoever writes to this: one-way, with the devices' own speed. */
  get writable(): WritableStream<Uint8Array> {
    this.#writable ??= this.#write()
    return this.#writable
  }

  /**
   * Ends the session. Devices that have entered resuming are reset.
   *
   * @throws VfioError `ERR_VFIO_TOO_LATE` after the source has given the guest up
   */
  cancel(reason?: unknown): void {
    this.#core.cancel(reason)
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

  /**
   * Only while in doubt: you know that the source has the guest; what was loaded here is given up for good.
   *
   * @throws VfioError `ERR_VFIO_USAGE` if it is not in doubt; otherwise as {@link done}
   */
  discard(): Promise<Summary> {
    this.#core.command((session) => session.discard())
    return this.done
  }

  /**
   * Cancels the session if it still runs, and waits for its end. The devices stay open: their handles are in the
   * summary.
   *
   * @throws VfioError `ERR_VFIO_IN_DOUBT` while in doubt; then nothing was closed
   */
  close(): Promise<void> {
    return this.#core.close()
  }

  /** As {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#core.close()
  }

  #write() {
    const pipe = new (native().BindingPipe)()
    void this.#core.start(async ({ ids, devices }) =>
      settle(
        await native().startRestore(
          nativeOptions(this.#options),
          ids,
          devices,
          memoryOf(this.#options),
          pipe.source(false),
        ),
      ),
    )
    return writableOf(pipe)
  }
}

/**
 * Makes the destination's end of a migration, of one device or many, as they were at the source. The handles are spent;
 * the summary has new ones.
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
  const { configure, takeOver, signal } = options
  return new RestoreSession(new SessionCore('restore', devices, signal, { configure, takeOver }), options)
}

const memoryOf = ({ memory }: RestoreOptions) => {
  if (memory === undefined || memory instanceof GuestMemory) return memory && GuestMemory.nativeOf(memory)
  throw usage('memory is a GuestMemory')
}

const nativeOptions = (options: RestoreOptions) => {
  const deadlineMs = milliseconds(options, 'deadlineMs')
  return {
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(options.run === undefined ? {} : { run: options.run }),
    ...(options.noP2pTraffic === undefined ? {} : { noP2PTraffic: options.noP2pTraffic }),
  }
}
