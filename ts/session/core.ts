import type { BindingDevice, BindingHookCall, BindingInterrupt, BindingNews, BindingSession } from '../binding.ts'
import { isVfioError, usage, VfioError } from '../errors.ts'
import { claimed, type OpenDevice } from '../handle.ts'
import { GuestMemory } from '../model.ts'
import { isFailure, native, settle, toError } from '../native.ts'
import type { SeenState } from '../states.ts'
import type { SessionEvent } from './events.ts'
import { EventQueue } from './queue.ts'
import type { Outcome, Side, Summary } from './report.ts'
import { parseWire } from './wire.ts'

/** @internal The hooks of both ends, as they are called. */
export interface Hooks {
  readonly pause?: ((left: bigint | undefined) => void | Promise<void>) | undefined
  readonly unpause?: ((outcome: Outcome) => void | Promise<void>) | undefined
  readonly configure?: (() => void | Promise<void>) | undefined
  readonly takeOver?: (() => void | Promise<void>) | undefined
}

/** @internal What a session is made of when it starts. */
export interface Parts {
  readonly ids: string[]
  readonly devices: BindingDevice[]
  readonly interrupt: BindingInterrupt
  readonly listening: (address: string) => void
}

/** @internal What the two ends have in common: from the devices that are handed over to the summary. */
export class SessionCore {
  readonly done: Promise<Summary>
  readonly events = new EventQueue()
  readonly #side: Side
  readonly #hooks: Hooks
  readonly #devices: readonly {
    readonly id: string
    readonly opened: OpenDevice
    readonly native: BindingDevice
    readonly state: SeenState
  }[]
  readonly #interrupt: BindingInterrupt
  readonly #signal: AbortSignal | undefined
  readonly #aborted = () => this.#abort()
  #resolve!: (summary: Summary) => void
  #reject!: (error: unknown) => void
  #phase: 'new' | 'opening' | 'running' | 'over' = 'new'
  #session: BindingSession | undefined
  /** Why it was cancelled, in the caller's own words, before the engine had a session that could be told. */
  #cancelled: { readonly reason: unknown } | undefined
  #hookError: unknown

  constructor(side: Side, handles: unknown, signal: AbortSignal | undefined, hooks: Hooks) {
    for (const [name, hook] of Object.entries(hooks)) {
      if (hook !== undefined && typeof hook !== 'function') throw usage(`the hook '${name}' is not a function`)
    }
    const list: readonly unknown[] = Array.isArray(handles) ? handles : [handles]
    if (list.length === 0) throw usage('a session needs a device')
    // Every handle is looked at before the first one is spent.
    const opened = list.map((handle) => ({ opened: claimed(handle), state: (handle as { state: SeenState }).state }))
    const ids = opened.map(({ opened: device }, place) => device.id ?? `device${place}`)
    const twice = ids.find((id, place) => ids.indexOf(id) !== place)
    if (twice !== undefined) throw usage(`two devices are called '${twice}': open them with ids of their own`)
    signal?.throwIfAborted()
    this.#interrupt = new (native().BindingInterrupt)()
    this.#side = side
    this.#hooks = hooks
    this.#signal = signal
    this.#devices = opened.map(({ opened: device, state }, place) => ({
      id: ids[place] as string,
      opened: device,
      native: device.lend(),
      state,
    }))
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Whoever starts the session has the same promise; a session that was only closed has no one who listens.
    this.done.catch(() => {})
    signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  get inDoubt() {
    return this.#session?.inDoubt ?? false
  }

  /** Starts the session: once. `begin` opens the transport and hands the parts to the engine. */
  start(begin: (parts: Parts) => Promise<BindingSession>): Promise<Summary> {
    if (this.#phase !== 'new') {
      return Promise.reject(usage('the session was started already: a session has one stream; make another one'))
    }
    this.#phase = 'opening'
    void this.#run(begin)
    return this.done
  }

  async #run(begin: (parts: Parts) => Promise<BindingSession>) {
    try {
      this.#session = await begin({
        ids: this.#devices.map(({ id }) => id),
        devices: this.#devices.map((device) => device.native),
        interrupt: this.#interrupt,
        listening: (address) => this.events.push({ type: 'listening', address }),
      })
    } catch (error) {
      return this.#end(error)
    }
    this.#phase = 'running'
    if (this.#cancelled) this.#session.cancel(wordsOf(this.#cancelled.reason))
    try {
      await this.#pump(this.#session)
      this.#finish(this.#session)
    } catch (error) {
      this.#end(error)
    }
  }

  async #pump(session: BindingSession) {
    for (;;) {
      const news: BindingNews = settle(await session.news())
      for (const event of news.events) this.events.push(parseWire(event) as SessionEvent)
      for (const call of news.hooks) void this.#call(session, call)
      if (news.over) return
    }
  }

  /** A hook may take as long as it likes: news goes on meanwhile. */
  async #call(session: BindingSession, call: BindingHookCall) {
    try {
      if (call.name === 'pause') await this.#hooks.pause?.(call.left)
      else if (call.name === 'unpause') await this.#hooks.unpause?.(call.outcome as Outcome)
      else if (call.name === 'configure') await this.#hooks.configure?.()
      else await this.#hooks.takeOver?.()
      session.answerHook(call.id)
    } catch (error) {
      this.#hookError = error
      session.answerHook(call.id, wordsOf(error))
    }
  }

  #finish(session: BindingSession) {
    const { report, failure, devices } = settle(session.finished())
    const ends = new Map(devices.map((device) => [device.id, device]))
    const summary: Summary = {
      ...(parseWire(report) as Omit<Summary, 'devices'>),
      devices: this.#devices.map(({ id, opened }) => {
        const end = ends.get(id)
        // A state that could not be read is not known to be anything better.
        const device = opened.putBack((end?.state ?? 'error') as SeenState)
        return { id, outcome: (end?.outcome ?? 'lost') as Outcome, ...(device ? { device } : {}) }
      }),
    }
    this.#over()
    if (failure === undefined) return this.#resolve(summary)
    const cause = failure.code === 'ERR_VFIO_HOOK' ? this.#hookError : this.#cancelled?.reason
    this.#reject(toError(failure, { summary }, cause === undefined ? undefined : { cause }))
  }

  /** Ends a session that the engine never had: every device is where it was. */
  #end(error: unknown) {
    if (this.#phase === 'over') return
    const devices = this.#devices.map(({ id, opened, state }) => {
      const device = opened.putBack(state)
      return { id, outcome: 'returned' as const, ...(device ? { device } : {}) }
    })
    const what = wordsOf(error)
    const summary: Summary = {
      side: this.#side,
      outcome: 'returned',
      failure: what,
      totalMicros: 0,
      bytes: 0n,
      notConverged: [],
      objects: [],
      course: [],
      flow: [],
      devices,
    }
    this.#over()
    if (!isVfioError(error)) return this.#reject(error)
    const cause = this.#cancelled?.reason ?? error.cause
    this.#reject(
      new VfioError(
        error.code,
        error.message,
        { ...error.details, summary },
        cause === undefined ? undefined : { cause },
      ),
    )
  }

  #over() {
    this.#phase = 'over'
    this.#signal?.removeEventListener('abort', this.#aborted)
    this.events.end()
  }

  #abort() {
    try {
      this.cancel(this.#signal?.reason)
    } catch (error) {
      // Nobody called who could be told otherwise.
      if (isVfioError(error, 'ERR_VFIO_TOO_LATE')) this.events.push({ type: 'too-late', why: error.message })
    }
  }

  cancel(reason: unknown) {
    if (this.#phase === 'over') return
    if (this.#phase === 'running') {
      const refused = this.#session?.cancel(wordsOf(reason))
      if (isFailure(refused)) throw toError(refused)
      this.#cancelled ??= { reason }
      return
    }
    this.#cancelled ??= { reason }
    this.#interrupt.trigger()
    if (this.#phase === 'new') {
      this.#end(
        new VfioError('ERR_VFIO_CANCELLED', `cancelled: ${wordsOf(reason)}`, {
          remedy: 'nothing to mend: this is what was asked for',
        }),
      )
    }
  }

  /** What only a session that runs can be told. */
  command(tell: (session: BindingSession) => unknown) {
    if (this.#session === undefined || this.#phase !== 'running') throw usage('the session is not running')
    const refused = tell(this.#session)
    if (isFailure(refused)) throw toError(refused)
  }

  async close() {
    if (this.#phase !== 'over' && this.inDoubt) {
      throw new VfioError('ERR_VFIO_IN_DOUBT', 'it cannot be known which end owns the guest: nothing was closed', {
        remedy: `ask the other end who has the guest, then ${this.#side === 'save' ? 'takeBack() or discard()' : 'claim() or discard()'}`,
      })
    }
    try {
      this.cancel('the session was closed')
    } catch (error) {
      // Given up already, or ending: then its end is waited for.
      if (!isVfioError(error)) throw error
    }
    await this.done.catch(() => {})
  }
}

/** @internal The addon's end of the guest memory among the options of a session, or why it is none. */
export const memoryOf = ({ memory }: { readonly memory?: unknown }) => {
  return memory === undefined ? undefined : GuestMemory.nativeOf(memory)
}

const wordsOf = (reason: unknown) => {
  if (reason === undefined) return 'the caller asked for it'
  return reason instanceof Error ? reason.message : String(reason)
}
