import type { Difference, Outline, Part } from '../inspection.ts'
import type { Report } from '../session/report.ts'
import type { Course } from '../simulation.ts'
import type { Failure, Origin } from './bytes.ts'

/** What the page asks of its worker. What is told of it later carries its number. */
export type Work = { readonly task: number } & Wanted

export type Wanted =
  | { readonly kind: 'look'; readonly origin: Origin }
  | { readonly kind: 'compare'; readonly first: Origin; readonly second: Origin }
  | { readonly kind: 'simulate'; readonly scenario: string }

/** What is sent to the worker. */
export type Task = Work | { readonly task: number; readonly kind: 'stop' }

/** What the worker says. A task ends with `done` or `failed`. */
export type Told = { readonly task: number } & (
  | { readonly kind: 'progress'; readonly bytes: number }
  | { readonly kind: 'parts'; readonly parts: readonly Part[] }
  | { readonly kind: 'done'; readonly found: Found }
  | { readonly kind: 'failed'; readonly failure: Failure }
)

/** What came of a task. */
export type Found =
  | { readonly kind: 'outline'; readonly outline: Outline }
  /** The file is what `--report` writes. */
  | { readonly kind: 'report'; readonly report: Report }
  | { readonly kind: 'differences'; readonly differences: readonly Difference[] }
  | { readonly kind: 'course'; readonly course: Course }
