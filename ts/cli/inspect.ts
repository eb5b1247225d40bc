import { createWriteStream, fstatSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { usage, VfioError } from '../errors.ts'
import { compareFiles, dataOf, type FileSource, inspect } from '../inspect.ts'
import type { Difference, ObjectOutline, Outline, Part } from '../inspection.ts'
import { toJson } from '../json.ts'
import { configWords, formats } from '../outline-words.ts'
import type { Arguments } from './arguments.ts'
import { status } from './exit.ts'
import { Output } from './output.ts'
import { drawRun } from './picture.ts'
import { bytes } from './quantity.ts'
import { table } from './table.ts'

const standardInput = async function* (): AsyncGenerator<Uint8Array> {
  try {
    // To Node it would be a stream that has ended.
    if (fstatSync(0).isDirectory()) throw new Error('it is a directory')
    yield* process.stdin
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new VfioError('ERR_VFIO_TRANSPORT', `standard input cannot be read: ${why}`, {}, { cause: error })
  }
}

const sourceOf = (path: string): FileSource => (path === '-' ? standardInput() : path)

/** What the file calls something is shown as it would be written in a program: no control characters reach a terminal. */
const safe = (text: string) =>
  text.replaceAll(/[^\x20-\x7e\u00a0-\uffff]/g, (sign) => JSON.stringify(sign).slice(1, -1))

const fitted = (line: string, width: number) => {
  const text = safe(line)
  return text.length > width ? `${text.slice(0, width - 1)}…` : text
}

const details = ({ passport = [], config, recognised, kind, bytes: count }: ObjectOutline): string[] => {
  const lines = passport.map(({ key, value, needed }) => `passport: ${key}=${value}${needed ? ' (needed)' : ''}`)
  if (config) lines.push(`PCI ${configWords(config)}`)
  if (recognised) {
    const facts = recognised.facts.map(([name, value]) => `${name} ${value}`).join(', ')
    lines.push(`data: ${recognised.family}: ${facts}`)
  } else if (kind === 'device' && count > 0n) lines.push('data: opaque')
  return lines.map((line) => `    ${line}`)
}

const objectRow = (object: ObjectOutline, place: number): string[] => {
  const { id, kind, protocol, capabilities, frames, segments, initialEnds, zeroPages, complete, size } = object
  const counted = [
    `${bytes(object.bytes)} in ${frames} ${zeroPages === undefined ? 'frames' : 'pages'}`,
    ...(zeroPages ? [`${zeroPages} zero pages`] : []),
    ...(segments ? [`${segments} segments`] : []),
    ...(initialEnds ? [`initial data ${initialEnds === 1 ? 'once' : `${initialEnds} times`}`] : []),
    complete ? 'complete' : 'not complete',
  ]
  const what = [kind, protocol, capabilities, kind === 'memory' && size !== undefined ? bytes(size) : undefined]
  return ['  ', `${place}`, id, what.filter(Boolean).join(' '), counted.join(', ')]
}

/** An outline for people. */
const outlineLines = (outline: Outline): string[] => {
  const { format, mode, size, parts, session, qemu, objects, ending, notes, problems, damage } = outline
  const head = [formats[format], mode, qemu?.machine, qemu?.libvirt ? 'written by libvirt' : undefined]
  const rows = table(objects.map(objectRow))
  const sections = qemu?.sections ?? []
  return [
    `${head.filter(Boolean).join(', ')}: ${bytes(size)} in ${parts} parts`,
    ...(session === undefined ? [] : [`session ${session}`]),
    ...(qemu?.capabilities.length ? [`capabilities ${qemu.capabilities.join(', ')}`] : []),
    ...(format === 'unknown' ? [] : [`ends: ${ending ?? 'without an end'}`]),
    ...objects.flatMap((object, place) => [rows[place] as string, ...details(object)]),
    ...(sections.length ? ['sections:'] : []),
    ...table(
      sections.map(({ name, instance, sections: count, bytes: length }) => [
        '  ',
        instance ? `${name} ${instance}` : name,
        bytes(length),
        count > 1 ? `in ${count}` : '',
      ]),
    ),
    ...notes.map((note) => `note: ${note}`),
    ...problems.map((problem) => `problem: ${problem}`),
    ...(damage ? [`damaged at byte ${damage.at}: expected ${damage.expected}, found ${damage.found}`] : []),
  ]
}

/** A part as a line: where, how long, what; objects by their numbers, which the outline explains. */
const partLine = ({ at, len, type, object, payload, ...rest }: Part) => {
  const { damage, ...more } = rest as { damage?: { expected: string; found: string } }
  const about = object === undefined ? [] : [`object ${object}`]
  const facts = Object.entries(damage ? { expected: damage.expected, found: damage.found } : more)
  const check = payload ? [`${payload.len} bytes`, payload.checksum.toString(16).padStart(8, '0')] : []
  const told = facts.map(([name, value]) => `${name} ${value}`)
  return [`${at}`.padStart(12), `${len}`.padStart(10), type, ...about, ...told, ...check].join('  ')
}

/** A line for a reader that may be slower than the file, or gone: who has seen enough does not want the rest. */
const write = async (line: string) => {
  const { stdout } = process
  if (stdout.destroyed || stdout.write(`${line}\n`)) return
  await new Promise<void>((settled) => {
    const done = () => {
      stdout.off('drain', done).off('close', done)
      settled()
    }
    stdout.on('drain', done).on('close', done)
  })
}

const frames = async (source: FileSource, output: Output): Promise<Outline> => {
  const inspection = inspect(source)
  for await (const part of inspection) {
    const line = output.json ? toJson(part) : fitted(partLine(part), output.width)
    await write(line)
  }
  return inspection.outline()
}

const differenceLine = ({ of, what, frame, first, second }: Difference) => {
  const place = [first, second].map((one) => (one ? `${one.len} bytes from ${one.offset} at byte ${one.at}` : 'none'))
  const where = frame === undefined ? '' : ` (frame ${frame}: ${place.join('; ')})`
  return `${of === undefined ? '' : `${of}: `}${what}${where}`
}

const compare = async (paths: readonly string[], output: Output) => {
  const [first, second, ...more] = paths
  if (first === undefined || second === undefined || more.length > 0) throw usage('inspect --diff takes two files')
  if (first === '-' && second === '-') throw usage('only one of two files can be standard input')
  const differences = await compareFiles(sourceOf(first), sourceOf(second))
  const ok = differences.length === 0
  const lines = ok ? ['the same'] : differences.map((one) => fitted(differenceLine(one), Math.max(output.width, 200)))
  output.result(lines, { ok, differences })
  return ok ? status.done : status.failed
}

const extract = async (source: FileSource, device: string, to: string | undefined, output: Output) => {
  if (to === undefined) throw usage('inspect --extract needs --to FILE')
  // Until all of it was verified it has another name.
  const half = `${to}.partial`
  await pipeline(dataOf(source, device), createWriteStream(half))
  await rename(half, to)
  output.result([`the data of ${safe(device)} are in ${to}`], { ok: true, device, to })
  return status.done
}

/** `inspect FILE`, `inspect --diff FILE FILE`, `inspect --html FILE FILE` */
export const runInspect = async (args: Arguments): Promise<number> => {
  const { operands, values } = args
  const output = new Output(values)
  const [device, to] = [values.get('extract'), values.get('to')]
  const ways = ['frames', 'extract', 'diff', 'html'].filter((name) => values.has(name))
  if (ways.length > 1) throw usage(`inspect does one of --${ways.join(', --')} at a time`)
  if (to !== undefined && device === undefined) throw usage('inspect --to goes with --extract')
  if (values.has('html')) return drawRun(args)
  if (values.has('force')) throw usage('inspect --force goes with --html')
  if (values.has('diff')) return compare(operands, output)
  const [path, ...more] = operands
  if (path === undefined || more.length > 0) throw usage('inspect takes one file, or - for standard input')
  const source = sourceOf(path)
  if (device !== undefined) return extract(source, device, to, output)
  const outline = values.has('frames') ? await frames(source, output) : await inspect(source).outline()
  const sound = outline.damage === undefined && outline.problems.length === 0
  output.result(
    outlineLines(outline).map((line) => fitted(line, output.width)),
    { ok: sound, outline },
  )
  if (values.has('verify')) return sound ? status.done : status.failed
  return outline.format === 'unknown' ? status.failed : status.done
}
