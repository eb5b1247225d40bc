import type { SessionCore } from './core.ts'
import type { SessionEvent } from './events.ts'
import type { Summary } from './report.ts'

/** One end of a migration: what a save and a restore have in common. */
export abstract class Session implements AsyncDisposable {
  readonly #core: SessionCore

  /** @internal */
  constructor(core: SessionCore) {
    this.#core = core
  }

  /** How it ends: the same promise as the one that started it. */
  get done(): Promise<Summary> {
    return this.#core.done
  }

  /** Whether it cannot be known who owns the guest, so that you must decide. */
  get inDoubt(): boolean {
    return this.#core.inDoubt
  }

  /** The session's events. Each goes to one reader; progress may be merged, changes of state are never dropped. */
  events(): AsyncIterableIterator<SessionEvent, undefined> {
    return this.#core.events.read()
  }

  /**
   * Ends the session. At the source everything comes back; at the destination devices that have entered resuming are
   * reset.
   *
   * @throws VfioError `ERR_VFIO_TOO_LATE` after the guest was given up
   */
  cancel(reason?: unknown): void {
    this.#core.cancel(reason)
  }

  /**
   * Only while in doubt: you know that the other end has the guest; what is kept here is given up for good.
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
}
