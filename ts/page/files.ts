import type { Outline, Part } from '../inspection.ts'
import { endOfReport, StreamCourse } from '../picture/index.ts'
import type { RunEnd } from '../picture/run.ts'
import type { Report } from '../session/report.ts'
import { type Failure, nameOf, type Origin, sizeOf, type Unreadable } from './bytes.ts'
import type { Decoder } from './decoder.ts'

/** Parts of one file that are listed. A browser cannot scroll through many more, and their text takes memory. */
export const mostParts = 300_000

/** Where a file is on its way. */
export type Progress =
  | { readonly kind: 'reading'; readonly bytes: number }
  | { readonly kind: 'read' }
  | { readonly kind: 'failed'; readonly failure: Failure }

/** A file that was opened, and what is known of it so far. */
export class OpenedFile {
  readonly name: string
  readonly origin: Origin
  progress: Progress = { kind: 'reading', bytes: 0 }
  /** Those that are listed, as many as have come. */
  readonly parts: Part[] = []
  /** How many are not. */
  unlisted = 0
  outline: Outline | undefined
  /** What a file says that is no stream but a report. */
  report: Report | undefined
  /** The end of a migration that it tells of, once it was read. */
  end: RunEnd | undefined
  /** @internal */
  readonly course = new StreamCourse()
  /** @internal */
  stop: () => void = () => {}

  constructor(origin: Origin) {
    this.origin = origin
    this.name = nameOf(origin)
  }

  get size(): number {
    return sizeOf(this.origin)
  }
}

/** A file that was named on the command line and cannot be read. */
export interface Absent {
  readonly name: string
  readonly problem: string
}

/** Every file that is open in the page, one of which is looked at. Tells of every change by the event `change`. */
export class Files extends EventTarget {
  readonly #decoder: Decoder
  readonly #all: OpenedFile[] = []
  #current: OpenedFile | undefined
  readonly absent: Absent[] = []

  constructor(decoder: Decoder) {
    super()
    this.#decoder = decoder
  }

  get all(): readonly OpenedFile[] {
    return this.#all
  }

  get current(): OpenedFile | undefined {
    return this.#current
  }

  /** Opens files, and looks at the first of them. */
  open(origins: readonly Origin[]) {
    const opened = origins.map((origin) => new OpenedFile(origin))
    this.#all.push(...opened)
    this.#current = opened[0] ?? this.#current
    for (const file of opened) this.#look(file)
    this.#changed()
  }

  choose(file: OpenedFile) {
    if (this.#current === file) return
    this.#current = file
    this.#changed()
  }

  close(file: OpenedFile) {
    file.stop()
    const place = this.#all.indexOf(file)
    if (place < 0) return
    this.#all.splice(place, 1)
    if (this.#current === file) this.#current = this.#all[Math.min(place, this.#all.length - 1)]
    this.#changed()
  }

  /** Says of a file that was named that it is not there. */
  missing(absent: Absent) {
    this.absent.push(absent)
    this.#changed()
  }

  #changed() {
    this.dispatchEvent(new Event('change'))
  }

  async #look(file: OpenedFile) {
    const { done, stop } = this.#decoder.start(
      { kind: 'look', origin: file.origin },
      {
        progress: (bytes) => {
          file.progress = { kind: 'reading', bytes }
          this.#changed()
        },
        parts: (parts) => {
          const room = mostParts - file.parts.length
          for (const part of parts.slice(0, room)) file.parts.push(part)
          for (const part of parts) file.course.hear(part)
          file.unlisted += Math.max(0, parts.length - room)
          this.#changed()
        },
      },
    )
    file.stop = stop
    try {
      const found = await done
      if (found.kind === 'outline') {
        file.outline = found.outline
        file.end = file.course.end(found.outline)
      } else if (found.kind === 'report') {
        file.report = found.report
        file.end = endOfReport(found.report)
      }
      file.progress = { kind: 'read' }
    } catch (error) {
      const { message, remedy } = error as Unreadable
      file.progress = { kind: 'failed', failure: { message, remedy } }
    }
    this.#changed()
  }
}
