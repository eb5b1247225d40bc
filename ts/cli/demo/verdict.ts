import type { Course } from './course.ts'

/** What a demo came to: the object that `--json` ends with. */
export interface Verdict {
  /** Whether the data of every device and every page of guest memory is the same at both ends. */
  readonly identical: boolean
  /** How many devices hold the same. */
  readonly identicalDevices: number
  /** Payload bytes, those that were sent again included. */
  readonly bytes: bigint
  /** From the start of `pause` until the destination said running. */
  readonly downtimeMs: number
  /** From the start of the session to its end, at the source. */
  readonly totalMs: number
  /** Resets of all devices at both ends. */
  readonly resets: number
  /** Whether every device counted on where it had stopped. */
  readonly counterContinued: boolean
  /** Pages of guest memory that are not the same; null, which is unknown, if it never came to a comparison. */
  readonly missedPages: number | null
  /** How many pages were compared. */
  readonly pages: number
  /** How often a guest touched a device where it must not. */
  readonly touches: number
  /** What went wrong, at the end that said it first. */
  readonly failure: { readonly side: 'save' | 'restore'; readonly code: string; readonly message: string } | undefined
}

/** Compares what both ends know. */
export const verdictOf = ({ save, restore }: Course): Verdict => {
  const [source, destination] = [save.result, restore.result]
  const report = source?.report
  const devices = source?.stopped.length ?? 0
  const same = (source?.stopped ?? []).filter(
    (held, place) => held !== undefined && held.proof === destination?.stopped[place]?.proof,
  )
  const [before, after] = [source?.pages, destination?.pages]
  const missedPages =
    before && after ? before.reduce((count, digest, page) => count + (digest === after[page] ? 0 : 1), 0) : null
  const failures = (['restore', 'save'] as const).flatMap((side) => {
    const failure = { save, restore }[side].result?.failure
    return failure ? [{ side, ...failure }] : []
  })
  // An end that only heard of the other's failure says so; the cause stands at the other.
  const failure =
    failures.find(({ code }) => code !== 'ERR_VFIO_REFUSED' && code !== 'ERR_VFIO_CANCELLED') ?? failures[0]
  const continued = (source?.stopped ?? []).every((held, place) => {
    const loaded = destination?.stopped[place]
    return held && loaded && loaded.counter === held.counter && (destination?.counters[place] ?? 0n) > held.counter
  })
  const resets = [source, destination]
    .flatMap((end) => end?.report?.objects ?? [])
    .reduce((sum, object) => sum + object.resets, 0)
  return {
    identical: failure === undefined && devices > 0 && same.length === devices && missedPages === 0,
    identicalDevices: failure === undefined ? same.length : 0,
    bytes: report?.bytes ?? 0n,
    downtimeMs: (report?.downtime?.totalMicros ?? 0) / 1000,
    totalMs: (report?.totalMicros ?? 0) / 1000,
    resets,
    counterContinued: failure === undefined && devices > 0 && continued,
    missedPages,
    pages: before?.length ?? 0,
    touches: (source?.touches ?? 0) + (destination?.touches ?? 0),
    failure,
  }
}
