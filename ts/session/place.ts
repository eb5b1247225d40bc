import type { FileHandle } from 'node:fs/promises'
import type { BindingInterrupt, BindingPipe, BindingSink, BindingSource, BindingTransportOptions } from '../binding.ts'
import { flagIn, millisecondsIn, record, said, text } from '../checks.ts'
import { usage } from '../errors.ts'
import { native, settle } from '../native.ts'
import { drain, FRAME, feed, MESSAGES } from './streams.ts'

/** A pair of streams that carries a connected session. */
export interface Duplex {
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
}

/** A place as on the command line: a path, `unix:PATH`, `tcp:HOST:PORT`, `fd:N`, `-`. */
export type Address = string

interface Unix {
  /** Path of the socket. */
  readonly unix: string
}
interface Fd {
  /** Copied at once; the caller's own stays the caller's. It is asked what it is. */
  readonly fd: number | FileHandle
}
interface File {
  /** Path of the file. */
  readonly file: string
}

/**
 * Where a save sends to. Sockets and duplex pairs are connected: messages come back. Files and single streams are
 * one-way.
 */
export type Sink =
  | Address
  | Unix
  | { readonly host: string; readonly port: number }
  | Fd
  | File
  | Duplex
  | WritableStream<Uint8Array>

/** Where a restore takes from: it listens on sockets, a save connects to them. */
export type Source =
  | Address
  | Unix
  | { readonly listen: number; readonly host?: string }
  | Fd
  | File
  | Duplex
  | ReadableStream<Uint8Array>

/** How a place is opened. */
export interface PlaceOptions {
  /** How long to try to connect, or to wait for whoever connects. @default 10_000 to connect, for ever to wait */
  readonly waitMs?: number
  /** Whether a file that stands there already may be replaced. @default false */
  readonly overwrite?: boolean
  /** Whether TCP may leave this machine, unencrypted and unauthenticated as it is. @default false */
  readonly insecure?: boolean
  /**
   * Whether a buffer is filled again once the write of its chunk to the caller's stream has settled: faster, for streams
   * that are done with a chunk by then, as sockets and files are. A stream that passes its chunks on, such as a
   * TransformStream, is not.
   *
   * @default false
   */
  readonly reuseBuffers?: boolean
}

/** What may end the waiting for a place, and who is told where a restore listens. */
interface Waiting {
  readonly interrupt: BindingInterrupt
  readonly listening: (address: string) => void
}

/** @internal How a place is opened. */
export interface Opening extends Waiting {
  readonly transport: BindingTransportOptions
  readonly reuseBuffers: boolean
}

/** @internal The options of a place, whichever it is, or why they are none. */
export const openingOf = (options: PlaceOptions, { interrupt, listening }: Waiting): Opening => {
  const waitMs = millisecondsIn(record(options), 'waitMs')
  const transport = {
    ...(waitMs === undefined ? {} : { waitMs }),
    overwrite: flagIn(options, 'overwrite') ?? false,
    insecure: flagIn(options, 'insecure') ?? false,
  }
  return { transport, reuseBuffers: flagIn(options, 'reuseBuffers') ?? false, interrupt, listening }
}

const has = <K extends string>(place: object, key: K): place is object & Record<K, unknown> => key in place

/** A path that no scheme can be read into. */
const file = (path: string) => (path.startsWith('/') ? path : `./${path}`)

/** The address of a place that has one. */
const addressOf = (place: unknown): Address | undefined => {
  if (typeof place === 'string') return place
  if (typeof place !== 'object' || place === null)
    throw usage('no place: give an address, an object that names one, or a stream')
  if (has(place, 'unix')) return `unix:${text(place.unix, 'the path of a socket')}`
  if (has(place, 'file')) return file(text(place.file, 'the path of a file'))
  if (has(place, 'port') || has(place, 'listen')) {
    const { host = 'localhost' } = place as { readonly host?: unknown }
    const port = has(place, 'port') ? place.port : place.listen
    const name = text(host, 'a host')
    if (!Number.isInteger(port)) throw usage(`a port is a number, not ${said(port)}`)
    return `tcp:${name.includes(':') ? `[${name}]` : name}:${port}`
  }
  return undefined
}

const numberOf = ({ fd }: { fd: unknown }) => {
  const number = typeof fd === 'object' && fd !== null && has(fd, 'fd') ? fd.fd : fd
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0)
    throw usage('no file descriptor: give a number or an open FileHandle')
  return number
}

/** `fd:N`: the command line's way to name a descriptor. */
const fdAddress = /^fd:(\d+)$/

const free = <S extends { readonly locked: boolean }>(stream: S): S => {
  if (stream.locked) throw usage('the stream is locked: somebody else reads or writes it')
  return stream
}

const isReadable = (place: object): place is ReadableStream<Uint8Array> => has(place, 'getReader')
const isWritable = (place: object): place is WritableStream<Uint8Array> => has(place, 'getWriter')

/** Connects a pipe with the caller's streams. What breaks on one side breaks the other. */
const plumb = (
  pipe: BindingPipe,
  out: WritableStream<Uint8Array> | undefined,
  back: ReadableStream<Uint8Array> | undefined,
  size: number,
  { reuseBuffers }: Opening,
) => {
  const broken = (error: unknown) => pipe.breakOff(error instanceof Error ? error.message : String(error))
  if (out) drain(pipe, out, size, reuseBuffers).catch(broken)
  if (back) feed(pipe, back).catch(broken)
}

/** @internal Opens where a save sends to. */
export const openSink = async (place: Sink, opening: Opening): Promise<BindingSink> => {
  const address = addressOf(place)
  const descriptor = address?.match(fdAddress)
  if (descriptor) return settle(native().sinkOfFd(Number(descriptor[1])))
  if (address !== undefined) return settle(await native().connect(address, opening.transport, opening.interrupt))
  const other = place as object
  if (has(other, 'fd')) return settle(native().sinkOfFd(numberOf(other)))
  const pipe = new (native().BindingPipe)()
  if (isWritable(other)) {
    const sink = pipe.sink(false)
    plumb(pipe, free(other), undefined, FRAME, opening)
    return sink
  }
  if (has(other, 'readable') && has(other, 'writable')) {
    const { readable, writable } = other as unknown as Duplex
    const [back, out] = [free(readable), free(writable)]
    const sink = pipe.sink(true)
    plumb(pipe, out, back, FRAME, opening)
    return sink
  }
  throw usage('a save sends to an address, a file descriptor, a WritableStream, or a pair { readable, writable }')
}

/** @internal Opens where a restore takes from: waits until a source is there. */
export const openSource = async (place: Source, opening: Opening): Promise<BindingSource> => {
  const address = addressOf(place)
  const descriptor = address?.match(fdAddress)
  if (descriptor) return settle(native().sourceOfFd(Number(descriptor[1])))
  if (address !== undefined) {
    const listener = settle(await native().listen(address, opening.transport, opening.interrupt))
    if (/^(unix|tcp):/.test(listener.address)) opening.listening(listener.address)
    return settle(await listener.accept())
  }
  const other = place as object
  if (has(other, 'fd')) return settle(native().sourceOfFd(numberOf(other)))
  const pipe = new (native().BindingPipe)()
  if (isReadable(other)) {
    const source = pipe.source(false)
    plumb(pipe, undefined, free(other), MESSAGES, opening)
    return source
  }
  if (has(other, 'readable') && has(other, 'writable')) {
    const { readable, writable } = other as unknown as Duplex
    const [back, out] = [free(readable), free(writable)]
    const source = pipe.source(true)
    plumb(pipe, out, back, MESSAGES, opening)
    return source
  }
  throw usage('a restore takes from an address, a file descriptor, a ReadableStream, or a pair { readable, writable }')
}
