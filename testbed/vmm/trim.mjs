// Takes the guest's memory out of a migration stream of QEMU: what is left is small, and has every section that it had. Reads
// QEMU's format as it is on the wire (numbers with the most significant byte first); sections carry no length, so that those
// of memory and of VFIO devices are read item by item, up to the first of a device that has no parts.

const kinds = {
  end: 0x00,
  start: 0x01,
  part: 0x02,
  last: 0x03,
  full: 0x04,
  sub: 0x05,
  configuration: 0x07,
  command: 0x08,
}
const footer = 0x7e

/** What may stand in a section of memory: flags in the low bits of an address. */
const memory = { zero: 0x02, sizes: 0x04, page: 0x08, end: 0x10, again: 0x20, xbzrle: 0x40, flush: 0x200 }
const pageSize = 4096

/** Tags of a VFIO device's section: the low half of a number whose other half is always the same. */
const vfio = { end: 0xef100001, setup: 0xef100003, data: 0xef100004, initialSent: 0xef100005 }

class Reader {
  at = 0

  constructor(bytes) {
    this.bytes = bytes
  }

  skip(length) {
    this.at += length
    if (this.at > this.bytes.length) throw new Error('the stream ends in the middle')
  }

  byte() {
    this.skip(1)
    return this.bytes[this.at - 1]
  }

  short() {
    this.skip(2)
    return this.bytes.readUInt16BE(this.at - 2)
  }

  word() {
    this.skip(4)
    return this.bytes.readUInt32BE(this.at - 4)
  }

  long() {
    this.skip(8)
    return this.bytes.readBigUInt64BE(this.at - 8)
  }

  name() {
    const length = this.byte()
    this.skip(length)
    return this.bytes.toString('latin1', this.at - length, this.at)
  }
}

/** Reads a section of memory; gives back its pieces that are no pages. */
const readMemory = (reader) => {
  const kept = []
  for (;;) {
    const from = reader.at
    const value = reader.long()
    const flags = Number(value & 0xfffn)
    if (flags & memory.sizes) {
      for (let left = value & ~0xfffn; left > 0n; ) {
        reader.name()
        left -= reader.long()
      }
      kept.push([from, reader.at])
    } else if (flags & (memory.zero | memory.page)) {
      if (!(flags & memory.again)) reader.name()
      reader.skip(flags & memory.page ? pageSize : 1)
    } else if (flags & memory.end) {
      kept.push([from, reader.at])
      return kept
    } else if (!(flags & memory.flush)) throw new Error(`memory with the flags ${flags.toString(16)} at ${from}`)
  }
}

/** Reads a section of a VFIO device; all of it is kept. */
const readVfio = (reader) => {
  const from = reader.at
  for (;;) {
    const tag = Number(reader.long() & 0xffffffffn)
    if (tag === vfio.data) reader.skip(Number(reader.long()))
    else if (tag === vfio.end || tag === vfio.initialSent) return [[from, reader.at]]
    else if (tag !== vfio.setup)
      throw new Error(`a device's section with the tag ${tag.toString(16)} at ${reader.at - 8}`)
  }
}

/**
 * A stream without the guest's pages, and the sections in it that have parts, in order: `{ kind, name }`.
 *
 * @param {Buffer} bytes
 */
export const trim = (bytes) => {
  const reader = new Reader(bytes)
  const kept = []
  const sections = []
  const names = new Map()
  const keep = (from) => kept.push([from, reader.at])
  reader.skip(8)
  keep(0)
  for (;;) {
    const from = reader.at
    const kind = reader.byte()
    if (kind === kinds.configuration) reader.skip(reader.word())
    else if (kind === kinds.sub) throw new Error('a configuration with parts of its own is not known here')
    else if (kind === kinds.command) {
      reader.word()
      reader.skip(reader.bytes.readUInt16BE(reader.at - 2))
    } else if ([kinds.start, kinds.part, kinds.last].includes(kind)) {
      const id = reader.word()
      if (kind === kinds.start) {
        names.set(id, reader.name())
        reader.skip(8)
      }
      const name = names.get(id)
      keep(from)
      kept.push(...(name === 'ram' ? readMemory(reader) : readVfio(reader)))
      sections.push({ kind: Object.keys(kinds).find((one) => kinds[one] === kind), name })
      const end = reader.at
      if (reader.byte() !== footer || reader.word() !== id) throw new Error(`no end of section ${id} at ${end}`)
      keep(end)
      continue
    } else {
      // Devices without parts follow, whose lengths only the description at the end tells.
      reader.at = bytes.length
      keep(from)
      return { bytes: Buffer.concat(kept.map(([start, end]) => bytes.subarray(start, end))), sections }
    }
    keep(from)
  }
}
