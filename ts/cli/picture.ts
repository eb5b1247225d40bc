import { createReadStream } from 'node:fs'
import { usage, VfioError } from '../errors.ts'
import { inspect } from '../inspect.ts'
import { endOfReport, parseReport } from '../picture/from-report.ts'
import { StreamCourse } from '../picture/from-stream.ts'
import { runOf } from '../picture/joining.ts'
import { endName, type RunEnd } from '../picture/run.ts'
import { sentencesOf } from '../picture/words.ts'
import type { Arguments } from './arguments.ts'
import { status } from './exit.ts'
import { wantedPicture } from './html.ts'
import { Output } from './output.ts'

/** Longest report that is read, in bytes: one of 1024 devices has a few MiB. */
const longest = 64 << 20

const called = (path: string) => (path === '-' ? 'standard input' : `'${path}'`)

/** The bytes of a file. That it cannot be read names the file. */
const bytesOf = async function* (path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* path === '-' ? process.stdin : createReadStream(path)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new VfioError('ERR_VFIO_TRANSPORT', `${called(path)} cannot be read: ${why}`, {}, { cause: error })
  }
}

/** A report begins with a brace, and no stream does. */
const isReport = (first: Uint8Array) => /^\s*\{/.test(Buffer.from(first.subarray(0, 64)).toString('latin1'))

const textOf = async (pieces: AsyncIterable<Uint8Array>, path: string) => {
  const all: Uint8Array[] = []
  let length = 0
  for await (const piece of pieces) {
    all.push(piece)
    length += piece.length
    if (length > longest) throw usage(`${called(path)} is no report: it has more than ${longest} bytes`)
  }
  return Buffer.concat(all).toString()
}

/** One end of a run, from a file that tells of it. */
const endIn = async (path: string): Promise<RunEnd> => {
  const pieces = bytesOf(path)
  const first = await pieces.next()
  const whole = (async function* () {
    if (!first.done) yield first.value
    yield* pieces
  })()
  if (!first.done && isReport(first.value)) return endOfReport(parseReport(await textOf(whole, path)))
  const [inspection, course] = [inspect(whole), new StreamCourse()]
  for await (const part of inspection) course.hear(part)
  const end = course.end(await inspection.outline())
  if (end === undefined) {
    throw usage(`${called(path)} tells nothing of a run`, {
      remedy: 'give a report (--report FILE), or a stream that was saved without --no-events',
    })
  }
  return end
}

/** `inspect FILE [FILE] --html FILE`: the picture of the run that a stream, a report, or those of both ends tell of. */
export const drawRun = async ({ operands, values }: Arguments): Promise<number> => {
  const output = new Output(values)
  const [first, second, ...more] = operands
  if (first === undefined || more.length > 0) {
    throw usage('inspect --html takes a stream or a report, or those of both ends')
  }
  if (first === '-' && second === '-') throw usage('only one of two files can be standard input')
  const picture = await wantedPicture(values)
  if (picture === undefined) throw usage('--html needs a file')
  const ends = [await endIn(first)]
  if (second !== undefined) ends.push(await endIn(second))
  if (ends[1] && ends[0]?.side === ends[1].side) {
    throw usage(`both files tell of a ${endName(ends[1].side)}`, { remedy: 'give one of each end' })
  }
  const run = runOf(ends)
  await picture.write(run, `The run in ${operands.map(called).join(' and ')}`)
  output.result([sentencesOf(run).join(' '), `the picture is in ${picture.path}`], { ok: true, html: picture.path })
  return status.done
}
