import { isVfioError } from '../errors.ts'
import { compareFiles, inspect } from '../inspect.ts'
import type { Part } from '../inspection.ts'
import { parseReport } from '../picture/index.ts'
import type { Report } from '../session/report.ts'
import { simulate } from '../simulation.ts'
import { type Failure, type Origin, pieces, sizeOf, slice, Unreadable } from './bytes.ts'
import type { Found, Told, Work } from './work.ts'

/** Larger files are no reports: one has a few hundred bytes a device. */
const largestReport = 16 << 20

/** Parts that go over at once, and how often progress is told, in milliseconds. */
const batch = 2000
const interval = 100

/** Whether a task is still wanted, and what is told of it. */
export interface Asked {
  wanted(): boolean
  tell(told: Told): void
}

/** Nobody wants the task any more. */
class Stopped extends Error {}

/** The pieces of a file, with progress; they end where nobody wants them any more. */
const told = (task: number, { wanted, tell }: Asked, origin: Origin, before = 0) => {
  let last = 0
  return pieces(origin, (bytes) => {
    if (!wanted()) throw new Stopped()
    const now = performance.now()
    if (now - last < interval) return
    last = now
    tell({ task, kind: 'progress', bytes: before + bytes })
  })
}

/** The report that a file is, if it is one. */
const reportIn = (bytes: Uint8Array): Report | undefined => {
  try {
    return parseReport(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}

const look = async (task: number, asked: Asked, origin: Origin): Promise<Found> => {
  if (sizeOf(origin) <= largestReport) {
    const [first] = await slice(origin, 0, 1)
    if (first === 0x7b) {
      const report = reportIn(await slice(origin, 0, sizeOf(origin)))
      if (report) return { kind: 'report', report }
    }
  }
  const inspection = inspect(told(task, asked, origin))
  let parts: Part[] = []
  for await (const part of inspection) {
    parts.push(part)
    if (parts.length < batch) continue
    asked.tell({ task, kind: 'parts', parts })
    parts = []
  }
  asked.tell({ task, kind: 'parts', parts })
  return { kind: 'outline', outline: await inspection.outline() }
}

const compare = async (task: number, asked: Asked, first: Origin, second: Origin): Promise<Found> => {
  const differences = await compareFiles(told(task, asked, first), told(task, asked, second, sizeOf(first)))
  return { kind: 'differences', differences }
}

const failureOf = (error: unknown): Failure => {
  if (error instanceof Unreadable) return { message: error.message, remedy: error.remedy }
  if (isVfioError(error)) {
    const { remedy } = error.details
    return { message: `${error.code}: ${error.message}`, ...(remedy === undefined ? {} : { remedy }) }
  }
  return { message: error instanceof Error ? error.message : String(error) }
}

const find = (task: Work, asked: Asked): Found | Promise<Found> => {
  switch (task.kind) {
    case 'look':
      return look(task.task, asked, task.origin)
    case 'compare':
      return compare(task.task, asked, task.first, task.second)
    case 'simulate':
      return { kind: 'course', course: simulate(task.scenario) }
    default:
      return task satisfies never
  }
}

/** Does what was asked for. */
export const carryOut = async (task: Work, asked: Asked): Promise<void> => {
  const { task: number } = task
  try {
    const found = await find(task, asked)
    asked.tell({ task: number, kind: 'done', found })
  } catch (error) {
    if (!(error instanceof Stopped)) asked.tell({ task: number, kind: 'failed', failure: failureOf(error) })
  }
}
