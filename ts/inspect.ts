import { piecesOfFile } from '#platform'
import type { BindingInspected, BindingInspectOptions, BindingInspector } from './binding.ts'
import { text } from './checks.ts'
import { usage, VfioError } from './errors.ts'
import type { Difference, Outline, Part } from './inspection.ts'
import { native, settle } from './native.ts'
import { parseWire } from './session/wire.ts'

/** A file that is looked into: its path (not in a browser), itself, or its bytes in any pieces. */
export type FileSource = string | Blob | AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>

/** Properties that are bigints here, whatever their size. */
const numbers: ReadonlySet<string> = new Set(['at', 'len', 'size', 'bytes', 'offset', 'iova'])

const parse = <T>(json: string) => parseWire(json, numbers) as T

/** The pieces of a web stream. Not every browser iterates over one by itself. */
const piecesOfStream = async function* (stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  } finally {
    await reader.cancel().catch(() => {})
  }
}

const piecesOf = (source: FileSource): AsyncIterable<Uint8Array> => {
  if (typeof source === 'string') return piecesOfFile(source)
  if (source instanceof Blob) return piecesOfStream(source.stream())
  if (typeof source === 'object' && source !== null) {
    if ('getReader' in source) return piecesOfStream(source)
    if (Symbol.asyncIterator in source) return source
  }
  throw usage('a file that is looked into is a path, a Blob, a ReadableStream, or an async iterable of Uint8Arrays')
}

/** Has all of a source inspected, and gives what comes of it piece by piece. */
const inspected = async function* (source: FileSource, inspector: BindingInspector): AsyncGenerator<BindingInspected> {
  for await (const bytes of piecesOf(source)) {
    if (!(bytes instanceof Uint8Array)) throw usage('a file that is looked into comes as Uint8Arrays')
    yield settle(inspector.feed(bytes))
  }
  yield settle(inspector.finish())
}

const begin = (options: BindingInspectOptions) => new (native().BindingInspector)(options)

/**
 * A file that is being looked into: its parts, once, as they come; or its outline alone. Memory is bounded, however large
 * the file is.
 */
export interface Inspection extends AsyncIterable<Part> {
  /**
   * What is in the file, in short: after the last part, or of a file whose parts nobody asked for.
   *
   * @throws VfioError `ERR_VFIO_TRANSPORT` if it cannot be read, `ERR_VFIO_USAGE` while its parts are being read
   */
  outline(): Promise<Outline>
}

class FileInspection implements Inspection {
  readonly #source: FileSource
  #begun = false
  #outline: Outline | undefined

  constructor(source: FileSource) {
    this.#source = source
  }

  [Symbol.asyncIterator](): AsyncIterator<Part> {
    return this.#parts(true)
  }

  async outline(): Promise<Outline> {
    if (this.#outline === undefined) for await (const _ of this.#parts(false));
    return this.#outline as unknown as Outline
  }

  async *#parts(parts: boolean): AsyncGenerator<Part> {
    if (this.#begun) throw usage('a file is looked into once: its parts, or its outline after the last of them')
    this.#begun = true
    for await (const { parts: found, outline } of inspected(this.#source, begin({ parts }))) {
      if (outline !== undefined) this.#outline = parse<Outline>(outline)
      for (const part of found) yield parse<Part>(part)
    }
  }
}

/**
 * Looks into a file that holds a migration: a stream of this package, or one of QEMU's. It is verified as a restore
 * verifies it. What is damaged is no error but the last part, and stands in the outline.
 *
 * @throws VfioError `ERR_VFIO_PLATFORM`
 *
 * @example
 * ```ts
 * import { inspect, openDevice, save } from 'vfio-migration'
 * const session = await save(await openDevice('model:size=64KiB'))
 * const inspection = inspect(session) // or the path of a file
 * for await (const part of inspection) console.log(part.at, part.len, part.type)
 * const { objects, damage } = await inspection.outline()
 * console.log(objects[0]?.complete, damage) // true undefined
 * await (await session.done).devices[0]?.device?.close()
 * ```
 */
export const inspect = (source: FileSource): Inspection => new FileInspection(source)

/**
 * The data of one device in a file, as they were read from the device. They come before the part that they belong to was
 * verified: use them once the last piece has come.
 *
 * @throws VfioError `ERR_VFIO_USAGE` if the file has no such device, `ERR_VFIO_STREAM_CORRUPT` at the end if it is damaged
 *
 * @example
 * ```ts
 * import { dataOf, openDevice, save } from 'vfio-migration'
 * const session = await save(await openDevice('model:size=64KiB'))
 * let size = 0
 * for await (const bytes of dataOf(session, 'device0')) size += bytes.length
 * await (await session.done).devices[0]?.device?.close()
 * ```
 */
export const dataOf = async function* (source: FileSource, device: string): AsyncGenerator<Uint8Array, Outline> {
  let outline: Outline | undefined
  for await (const { data, outline: last } of inspected(
    source,
    begin({ dataOf: text(device, 'the id of a device') }),
  )) {
    if (last !== undefined) outline = parse<Outline>(last)
    if (data.length > 0) yield data
  }
  const { objects, damage } = outline as Outline
  if (damage) {
    const { at, expected, found } = damage
    const message = `the file is damaged at byte ${at}: expected ${expected}, found ${found}`
    throw new VfioError('ERR_VFIO_STREAM_CORRUPT', message, { remedy: 'what came before that byte is sound' })
  }
  const devices = objects.filter(({ kind }) => kind === 'device').map(({ id }) => id)
  if (!devices.includes(device)) {
    throw usage(`the file has no device '${device}': it has ${devices.join(', ') || 'none'}`)
  }
  return outline as Outline
}

/**
 * Where two files differ: by object or section, and by frame. None are the same. Events and reports do not count.
 *
 * At most 8 frames are named of each object. Of a file's frames 524,288 are remembered one by one (512 GiB in frames of
 * 1 MiB); whether those after them differ is said for each object, and not which.
 *
 * @throws VfioError `ERR_VFIO_TRANSPORT` if one cannot be read, `ERR_VFIO_PLATFORM`
 *
 * @example
 * ```ts
 * import { writeFile } from 'node:fs/promises'
 * import { compareFiles } from 'vfio-migration'
 * await Promise.all([writeFile('before.state', 'nothing'), writeFile('after.state', 'of the kind')])
 * for (const { of, what, frame } of await compareFiles('before.state', 'after.state')) console.log(of, frame, what)
 * ```
 */
export const compareFiles = async (first: FileSource, second: FileSource): Promise<readonly Difference[]> => {
  const [one, other] = [begin({ compare: true }), begin({ compare: true })]
  for await (const _ of inspected(first, one));
  for await (const _ of inspected(second, other));
  return settle(one.differences(other)).map((difference) => parse<Difference>(difference))
}
