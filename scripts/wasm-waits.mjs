// Lets a WASM with threads run on the main thread of a browser, where waiting on memory (`memory.atomic.wait32`) is an
// error. Rust's library waits there for every lock that another thread has. Each wait is replaced by a call of a function
// that waits, unless the instance was told not to: then it returns at once, as if woken for nothing. Whoever waits has to
// look again anyway, so that a lock is tried until it is free. Nothing holds one for long.
//
// Threads have instances of their own: the one of the main thread is told by its exported global `vfio_may_wait`.

/** The name of the exported global: 1 unless somebody sets it to 0. */
export const mayWait = 'vfio_may_wait'

const [TYPE, FUNCTION, GLOBAL, EXPORT, CODE] = [1, 3, 6, 7, 10]
const [I32, I64] = [0x7f, 0x7e]

const unsigned = (value) => {
  const bytes = []
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0))
    value >>>= 7
  } while (value > 0)
  return bytes
}

/** A number in exactly so many bytes. */
const padded = (value, size) =>
  Array.from({ length: size }, (_, place) => ((value >>> (7 * place)) & 0x7f) | (place < size - 1 ? 0x80 : 0))

class Reader {
  constructor(bytes, at = 0) {
    this.bytes = bytes
    this.at = at
  }
  byte() {
    return this.bytes[this.at++]
  }
  unsigned() {
    let [value, shift] = [0, 0]
    for (;;) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      shift += 7
      if (byte < 0x80) return value
    }
  }
  /** Of any size, signed ones as well. */
  skipNumber() {
    while (this.byte() >= 0x80);
  }
  skip(count) {
    this.at += count
  }
}

const sectionsOf = (bytes) => {
  const sections = []
  for (const reader = new Reader(bytes, 8); reader.at < bytes.length; ) {
    const id = reader.byte()
    const size = reader.unsigned()
    sections.push({ id, body: bytes.subarray(reader.at, reader.at + size) })
    reader.skip(size)
  }
  return sections
}

const memarg = (reader) => {
  reader.skipNumber()
  reader.skipNumber()
}

/** Immediates of the instructions with a prefix. */
const prefixed = {
  // Saturating conversions, bulk memory, tables.
  252: (reader, code) => {
    if (code <= 7) return
    const operands = { 8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1 }[code]
    if (operands === undefined) throw new Error(`instruction fc ${code} is not known`)
    for (let one = 0; one < operands; one += 1) reader.skipNumber()
  },
  // Vectors.
  253: (reader, code) => {
    if (code <= 11 || code === 92 || code === 93) memarg(reader)
    else if (code === 12 || code === 13) reader.skip(16)
    else if (code >= 21 && code <= 34) reader.skip(1)
    else if (code >= 84 && code <= 91) {
      memarg(reader)
      reader.skip(1)
    }
  },
  // Atomics.
  254: (reader, code) => (code === 3 ? reader.skip(1) : memarg(reader)),
}

const instruction = (reader) => {
  const code = reader.byte()
  if (code in prefixed) prefixed[code](reader, reader.unsigned())
  else if (code >= 0x28 && code <= 0x3e) memarg(reader)
  else if (code === 0x43) reader.skip(4)
  else if (code === 0x44) reader.skip(8)
  else if (code === 0x0e) for (let labels = reader.unsigned(); labels >= 0; labels -= 1) reader.skipNumber()
  else if (code === 0x11) {
    reader.skipNumber()
    reader.skipNumber()
  } else if (code === 0x1c) for (let types = reader.unsigned(); types > 0; types -= 1) reader.skip(1)
  else if ([0x02, 0x03, 0x04, 0x0c, 0x0d, 0x10, 0x3f, 0x40, 0x41, 0x42, 0xd0, 0xd2].includes(code)) reader.skipNumber()
  else if (code >= 0x20 && code <= 0x26) reader.skipNumber()
  else if (!(code <= 0x01 || code === 0x05 || code === 0x0b || code === 0x0f || (code >= 0x1a && code <= 0x1b)))
    if (code < 0x45 || (code > 0xc4 && code !== 0xd1)) throw new Error(`instruction ${code.toString(16)} is not known`)
}

/** Where in the code section memory is waited for: the place, how many bytes, and what is added to the address. */
const waitsIn = (code) => {
  const waits = []
  const reader = new Reader(code)
  for (let functions = reader.unsigned(); functions > 0; functions -= 1) {
    const size = reader.unsigned()
    const end = reader.at + size
    for (let locals = reader.unsigned(); locals > 0; locals -= 1) {
      reader.skipNumber()
      reader.skip(1)
    }
    while (reader.at < end) {
      const at = reader.at
      if (code[at] === 0xfe && code[at + 1] === 0x01) {
        reader.skip(2)
        reader.skipNumber()
        waits.push({ at, offset: reader.unsigned(), size: reader.at - at })
      } else instruction(reader)
    }
    if (reader.at !== end) throw new Error('a function does not end where it says')
  }
  return waits
}

/** A vector with something put behind its last element. */
const appended = (body, ...elements) => {
  const reader = new Reader(body)
  const count = reader.unsigned()
  return Buffer.concat([
    Buffer.from(unsigned(count + elements.length)),
    body.subarray(reader.at),
    ...elements.map((element) => Buffer.from(element)),
  ])
}

const lengthOf = (body) => new Reader(body).unsigned()

/** How many functions and globals are imported. */
const importedIn = (body) => {
  const reader = new Reader(body)
  const counts = { functions: 0, globals: 0 }
  for (let imports = reader.unsigned(); imports > 0; imports -= 1) {
    for (let names = 0; names < 2; names += 1) reader.skip(reader.unsigned())
    const kind = reader.byte()
    if (kind === 0) reader.skipNumber()
    else if (kind === 3) reader.skip(2)
    else {
      if (kind === 1) reader.skip(1)
      const limits = reader.byte()
      reader.skipNumber()
      if (limits & 1) reader.skipNumber()
    }
    if (kind === 0) counts.functions += 1
    if (kind === 3) counts.globals += 1
  }
  return counts
}

/** The function that waits, or does not: `(address, expected, timeout) -> woken`. */
const waiting = (global, offset) => {
  const wait = [0x20, 0, 0x20, 1, 0x20, 2, 0xfe, 0x01, 0x02, ...unsigned(offset)]
  const body = [0, 0x23, ...unsigned(global), 0x04, I32, ...wait, 0x05, 0x41, 0, 0x0b, 0x0b]
  return [...unsigned(body.length), ...body]
}

/**
 * The module with its waits replaced.
 *
 * @throws Error if there is an instruction that is not known here, or nothing to replace
 */
export const withoutWaits = (module) => {
  const sections = sectionsOf(module)
  const section = (id) => sections.find((one) => one.id === id)
  const [types, functions, globals, exported, code] = [TYPE, FUNCTION, GLOBAL, EXPORT, CODE].map(section)
  const imported = importedIn(section(2).body)
  const waits = waitsIn(code.body)
  if (waits.length === 0) throw new Error('nobody waits on memory: the compiler has found another way')
  const type = lengthOf(types.body)
  const [firstFunction, global] = [
    imported.functions + lengthOf(functions.body),
    imported.globals + lengthOf(globals.body),
  ]
  const offsets = [...new Set(waits.map(({ offset }) => offset))]
  const patched = Buffer.from(code.body)
  for (const { at, offset, size } of waits) {
    patched.set([0x10, ...padded(firstFunction + offsets.indexOf(offset), size - 1)], at)
  }
  types.body = appended(types.body, [0x60, 3, I32, I32, I64, 1, I32])
  functions.body = appended(functions.body, ...offsets.map(() => unsigned(type)))
  globals.body = appended(globals.body, [I32, 1, 0x41, 1, 0x0b])
  exported.body = appended(exported.body, [mayWait.length, ...Buffer.from(mayWait), 3, ...unsigned(global)])
  code.body = appended(patched, ...offsets.map((offset) => waiting(global, offset)))
  const all = sections.flatMap(({ id, body }) => [Buffer.from([id, ...unsigned(body.length)]), body])
  return { module: Buffer.concat([module.subarray(0, 8), ...all]), waits: waits.length }
}
