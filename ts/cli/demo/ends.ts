import { isVfioError } from '../../errors.ts'
import { GuestMemory, type Model, openModel } from '../../model.ts'
import type { SessionEvent } from '../../session/events.ts'
import type { Duplex } from '../../session/place.ts'
import type { Report, Side, Summary } from '../../session/report.ts'
import { restore } from '../../session/restore.ts'
import { save } from '../../session/save.ts'

/** What both ends of a demo are told. */
export interface Setting {
  /** The addresses of the devices at this end. */
  readonly devices: readonly string[]
  /** Bytes of guest memory. */
  readonly memory: bigint
  /** Where they meet. */
  readonly place: { readonly unix: string } | Duplex
}

/** What one end says while it works. */
export type Word =
  /** The destination listens: the source may begin. */
  | { readonly say: 'ready' }
  /** The session has started. All times are milliseconds of one clock, which both processes have. */
  | { readonly say: 'started'; readonly at: number }
  | { readonly say: 'event'; readonly event: SessionEvent }
  | { readonly say: 'guest'; readonly runs: boolean; readonly at: number }
  | { readonly say: 'ended'; readonly result: Result }

/** What one end knows when it is over. */
export interface Result {
  readonly report: Report | undefined
  readonly failure: { readonly code: string; readonly message: string } | undefined
  /** What each device held when it last entered stop. */
  readonly stopped: readonly ({ readonly proof: string; readonly counter: bigint } | undefined)[]
  /** In how many ticks each device has run by now. */
  readonly counters: readonly bigint[]
  /** What each page of guest memory held: at the source after its last device stopped, at the destination before any ran. */
  readonly pages: BigUint64Array | undefined
  /** How often the guest touched a device where it must not. */
  readonly touches: number
}

/** Milliseconds of the clock that all processes of a machine share. */
export const now = () => Number(process.hrtime.bigint() / 1000n) / 1000

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** How long the guest works before and after, in milliseconds: long enough to be seen. */
const WORK = 250
/** How long to wait for a counter that does not go on, in milliseconds. */
const PATIENCE = 5000

const open = async ({ devices, memory: length }: Setting) => {
  const memory = new GuestMemory({ length })
  const opened = await Promise.all(
    devices.map((address, place) => openModel(address, { id: `device${place}`, memory })),
  )
  return { memory, models: opened.map((one) => one.model), devices: opened.map((one) => one.device) }
}

/** Runs an end's session to its end, whatever it is. */
const ended = async (done: Promise<Summary>) => {
  try {
    return { summary: await done, failure: undefined }
  } catch (error) {
    if (!isVfioError(error)) throw error
    return { summary: error.details.summary, failure: { code: error.code, message: error.message } }
  }
}

const resultOf = async (
  { summary, failure }: Awaited<ReturnType<typeof ended>>,
  models: readonly Model[],
  pages: BigUint64Array | undefined,
): Promise<Result> => {
  const { devices: _handles, ...report } = summary ?? { devices: undefined }
  return {
    report: summary ? (report as Report) : undefined,
    failure,
    stopped: models.map((model) => model.stopped),
    counters: await Promise.all(models.map((model) => model.counter())),
    pages,
    touches: models.reduce((sum, model) => sum + model.touches, 0),
  }
}

const guests = (models: readonly Model[], say: (word: Word) => void) => async (runs: boolean) => {
  await Promise.all(models.map((model) => (runs ? model.resumeGuest() : model.pauseGuest())))
  say({ say: 'guest', runs, at: now() })
}

const relay = async (events: AsyncIterable<SessionEvent>, say: (word: Word) => void) => {
  for await (const event of events) say({ say: 'event', event })
}

/** The source: its guest works until `pause`. */
export const runSource = async (setting: Setting, say: (word: Word) => void): Promise<void> => {
  const { memory, models, devices } = await open(setting)
  const guest = guests(models, say)
  await guest(true)
  await pause(WORK)
  const session = await save(devices, { memory, pause: () => guest(false), unpause: () => guest(true) })
  say({ say: 'started', at: now() })
  const events = relay(session.events(), say)
  const end = await ended(session.sendTo(setting.place))
  await events
  // Nothing writes to the source's memory after its last device has stopped, unless the guest was taken back.
  const pages = end.failure ? undefined : await memory.pageDigests()
  say({ say: 'ended', result: await resultOf(end, models, pages) })
  await Promise.all(devices.map((device) => device.close()))
}

/** The destination: its guest works after `takeOver`. */
export const runDestination = async (setting: Setting, say: (word: Word) => void): Promise<void> => {
  const { memory, models, devices } = await open(setting)
  const guest = guests(models, say)
  let pages: BigUint64Array | undefined
  const session = await restore(devices, {
    memory,
    // All is loaded, and nothing has left resuming: nothing can have written to memory here but the migration.
    configure: async () => {
      pages = await memory.pageDigests()
    },
    takeOver: () => guest(true),
  })
  // Streams are connected from the start, and nobody says that he listens.
  if (!('unix' in setting.place)) say({ say: 'ready' })
  const events = (async () => {
    for await (const event of session.events()) {
      if (event.type === 'listening') say({ say: 'ready' })
      // Its clock starts with the connection; the first phase is its first event.
      else if (event.type === 'phase' && event.phase === 'checking')
        say({ say: 'started', at: now() - event.atMicros / 1000 })
      say({ say: 'event', event })
    }
  })()
  const end = await ended(session.receiveFrom(setting.place))
  await events
  if (!end.failure) await goesOn(models)
  say({ say: 'ended', result: await resultOf(end, models, pages) })
  await Promise.all(devices.map((device) => device.close()))
}

/** Gives the guest time to work at its new place. */
const goesOn = async (models: readonly Model[]) => {
  await pause(WORK)
  for (let waited = 0; waited < PATIENCE; waited += 10) {
    const counters = await Promise.all(models.map((model) => model.counter()))
    if (models.every((model, place) => (counters[place] as bigint) > (model.stopped?.counter ?? 0n))) return
    await pause(10)
  }
}

/** Both ends, by name. */
export const ends: Record<Side, (setting: Setting, say: (word: Word) => void) => Promise<void>> = {
  save: runSource,
  restore: runDestination,
}
