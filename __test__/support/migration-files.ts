// Files that hold a migration, written from what is written about them (docs/stream-format.md, and what QEMU's files look
// like) and with nothing of the package that reads them.
import { open } from 'node:fs/promises'

/** What a file is made of: bytes, or how many zeros, for which a file system needs no room. */
export type Piece = Uint8Array | number

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0)
  return value >>> 0
})

/** The CRC32C of bytes, continued from that of what stood before them. */
export const crc32c = (bytes: Uint8Array, from = 0): number => {
  let value = ~from
  for (const byte of bytes) value = (value >>> 8) ^ (table[(value ^ byte) & 0xff] as number)
  return ~value >>> 0
}

/** Writes pieces one after another; zeros become a hole. Answers with how many bytes the file has. */
export const write = async (path: string, pieces: Iterable<Piece>): Promise<number> => {
  const file = await open(path, 'w')
  let at = 0
  try {
    for (const piece of pieces) {
      if (typeof piece === 'number') at += piece
      else at += (await file.write(piece, 0, piece.length, at)).bytesWritten
    }
    await file.truncate(at)
  } finally {
    await file.close()
  }
  return at
}

/** All bytes of a small file. */
export const joined = (pieces: Iterable<Piece>): Buffer =>
  Buffer.concat([...pieces].map((piece) => (typeof piece === 'number' ? Buffer.alloc(piece) : piece)))

const number = (bytes: number, value: number | bigint, order: 'LE' | 'BE') => {
  const room = Buffer.alloc(8)
  if (order === 'LE') {
    room.writeBigUInt64LE(BigInt(value))
    return room.subarray(0, bytes)
  }
  room.writeBigUInt64BE(BigInt(value))
  return room.subarray(8 - bytes)
}

const mib = 1 << 20

/** Types of frames. */
export const frames = { data: 0x8001, objectEnd: 0x8002, end: 0x8006 } as const

/** What may be wrong with a head, though its checksums are right. */
export interface HeadOptions {
  /** How many objects the table says that it has. */
  readonly count?: number
  /** The bytes of the table, less its checksum, in place of its own. */
  readonly table?: Uint8Array
  /** How many bytes the preamble says that the table has. */
  readonly tableLength?: number
}

/** Writes a one-way stream of this project, frame by frame. */
export class Stream {
  readonly head: Buffer
  readonly #seed: number
  #sequence = 0

  /** With devices and memories of these names, a memory with its length. */
  constructor(
    objects: readonly (string | { readonly id: string; readonly length: number })[],
    options: HeadOptions = {},
  ) {
    const described = objects.flatMap((object) => {
      const id = Buffer.from(typeof object === 'string' ? object : object.id)
      const name = [Buffer.of(typeof object === 'string' ? 1 : 2, id.length), id]
      if (typeof object !== 'string') return [...name, Buffer.of(1), number(8, object.length, 'LE'), Buffer.alloc(8)]
      // Of unknown size, fsm, stop-copy, without a passport.
      return [...name, Buffer.alloc(9), Buffer.of(2), number(8, 1, 'LE'), Buffer.alloc(2)]
    })
    const body = options.table ?? Buffer.concat([number(4, options.count ?? objects.length, 'LE'), ...described])
    const preamble = Buffer.concat([
      Buffer.from('8956464d0d0a1a0a', 'hex'),
      Buffer.of(1, 0, 0xff, 0xfe, 1, 0, 0, 0),
      number(4, mib, 'LE'),
      number(4, 0, 'LE'),
      Buffer.alloc(16, 7),
      number(4, options.tableLength ?? body.length + 4, 'LE'),
      Buffer.alloc(16),
    ])
    const sum = crc32c(preamble)
    this.#seed = crc32c(body, sum)
    this.head = Buffer.concat([preamble, number(4, sum, 'LE'), body, number(4, this.#seed, 'LE')])
  }

  /** The header of the next frame, with the sum of its payload. */
  header(type: number, object: number, offset: number, length: number, check: number): Buffer {
    const header = Buffer.alloc(64)
    header.writeUInt16LE(type, 0)
    header.writeUInt32LE(length, 4)
    header.writeBigUInt64LE(BigInt(this.#sequence), 8)
    header.writeBigUInt64LE(BigInt(offset), 16)
    header.writeUInt32LE(object, 24)
    header.writeUInt32LE(check, 44)
    header.writeUInt32LE(crc32c(header.subarray(0, 60), this.#seed), 60)
    this.#sequence += 1
    return header
  }

  frame(type: number, object: number, payload: Uint8Array): Buffer {
    return Buffer.concat([this.header(type, object, 0, payload.length, crc32c(payload)), payload])
  }
}

const none = 0xffffffff

const totals = (count: number, bytes: number, sum: number) =>
  Buffer.concat([number(8, count, 'LE'), number(8, bytes, 'LE'), number(4, sum, 'LE'), Buffer.alloc(4)])

/** A stream whose device has so many MiB, all zeros. */
export const streamOfZeros = function* (count: number): Generator<Piece> {
  const stream = new Stream(['gpu'])
  yield stream.head
  const check = crc32c(Buffer.alloc(mib))
  const checks = Buffer.concat([number(4, check, 'LE'), Buffer.alloc(12)])
  let sum = 0
  for (let frame = 0; frame < count; frame += 1) {
    yield stream.header(frames.data, 0, frame * mib, mib, check)
    yield mib
    sum = crc32c(checks, sum)
  }
  yield stream.frame(frames.objectEnd, 0, totals(count, count * mib, sum))
  yield stream.frame(frames.end, none, totals(count, count * mib, crc32c(number(4, sum, 'LE'))))
}

/** A stream of a memory and no device: nothing of the memory was sent. */
export const streamWithoutDevices = (): Buffer => {
  const stream = new Stream([{ id: 'ram', length: 4096 }])
  const objectEnd = stream.frame(frames.objectEnd, 0, totals(0, 0, 0))
  return Buffer.concat([stream.head, objectEnd, stream.frame(frames.end, none, totals(0, 0, crc32c(Buffer.alloc(4))))])
}

/** Numbers of QEMU's files. */
export const u8 = (value: number): Buffer => Buffer.of(value)
export const u16 = (value: number): Buffer => number(2, value, 'BE')
export const u32 = (value: number): Buffer => number(4, value, 'BE')
export const u64 = (value: number | bigint): Buffer => number(8, value, 'BE')
/** A text with its length before it. */
export const name = (text: string): Buffer => Buffer.concat([u8(text.length), Buffer.from(text)])

/** What a section of a VFIO device consists of. */
export const tags = {
  end: u64(0xffffffffef100001n),
  setup: u64(0xffffffffef100003n),
  data: u64(0xffffffffef100004n),
} as const

/** The head of a file of QEMU's. */
export const qemuHead = Buffer.concat([Buffer.from('QEVM'), u32(3), u8(7), u32(4), Buffer.from('none')])

/** A section of it that begins (1), or is whole (4). */
export const section = (kind: 1 | 4, id: number, called: string): Buffer =>
  Buffer.concat([u8(kind), u32(id), name(called), u32(0), u32(1)])
/** One that ends what began. */
export const lastSection = (id: number): Buffer => Buffer.concat([u8(3), u32(id)])
export const footer = (id: number): Buffer => Buffer.concat([u8(0x7e), u32(id)])
/** The end, with a description if there is one. */
export const qemuEnd = (description?: string): Buffer =>
  description === undefined ? u8(0) : Buffer.concat([u8(0), u8(6), u32(description.length), Buffer.from(description)])

export const vfio = '0000:00:02.0/vfio'

/** A file of QEMU's with one device, and what describes it. */
export const qemuWithDevice = (description: string, data = Buffer.from('some data')): Buffer =>
  joined([
    ...[qemuHead, section(1, 9, vfio), tags.setup, tags.end, footer(9)],
    ...[lastSection(9), tags.data, u64(data.length), data, tags.end, footer(9)],
    ...[section(4, 3, 'timer'), Buffer.alloc(40, 5), footer(3), qemuEnd(description)],
  ])

/** Files of QEMU's that are large and hold nothing but zeros: each has about so many MiB. */
export const qemuOfZeros = {
  /** One piece of a device's data. */
  device: (count: number): Piece[] => [
    ...[qemuHead, section(1, 9, vfio), tags.setup, tags.end, footer(9), lastSection(9)],
    ...[tags.data, u64(count * mib), count * mib, tags.end, footer(9), qemuEnd()],
  ],
  /** Pages of guest memory of 1 MiB, each with its address before it. */
  memory: (count: number): Piece[] => [
    ...[qemuHead, u8(5), name('configuration/target-page-bits'), u32(1), u32(20)],
    ...[section(1, 2, 'ram'), u64(count * mib + 4), name('pc.ram'), u64(count * mib)],
    ...Array.from({ length: count }, (_, page) =>
      page === 0 ? [u64(8), name('pc.ram'), mib] : [u64(page * mib + 8 + 0x20), mib],
    ).flat(),
    ...[u64(0x10), footer(2), qemuEnd()],
  ],
  /** Guest memory at a place of its own, none of it used (mapped-ram). */
  mapped: (count: number): Piece[] => {
    const before = [
      ...[qemuHead, u8(5), name('configuration/capabilities'), u32(1), u32(1), name('mapped-ram')],
      ...[section(1, 2, 'ram'), u64(count * mib + 4), name('pc.ram'), u64(count * mib)],
    ]
    const bitmap = joined(before).length + 28
    const size = (count * mib) / 4096 / 8
    const pages = Math.ceil((bitmap + size) / mib) * mib
    const where = [u32(1), u64(4096), u64(bitmap), u64(pages)]
    return [...before, ...where, pages - bitmap + count * mib, u64(0x10), footer(2), qemuEnd()]
  },
  /** A section of which nothing is known. */
  opaque: (count: number): Piece[] => [qemuHead, section(4, 3, 'timer'), count * mib, footer(3), qemuEnd()],
  /** A description that is nothing but zeros. */
  description: (count: number): Piece[] => [
    ...[qemuHead, qemuEnd(), u8(6), u32(Math.min(count * mib, 0xffffffff)), Math.min(count * mib, 0xffffffff)],
  ],
  /** What comes after the end. */
  trailing: (count: number): Piece[] => [qemuHead, qemuEnd('{}'), count * mib],
  /** One of several connections, with a device's data in packets of 1 MiB. */
  connection: (count: number): Piece[] => [
    ...[u32(0x11223344), u32(1), Buffer.alloc(16, 3), u8(2), Buffer.alloc(39)],
    ...Array.from({ length: count }, (_, index) => [
      ...[u32(0x11223344), u32(1), u32(0x40), Buffer.from(vfio), Buffer.alloc(256 - vfio.length), u32(0)],
      ...[u32(mib + 12), u32(0), u32(index), u32(0), mib],
    ]).flat(),
  ],
} as const
