// A small reader of QEMU's migration files, for tests only: where the bytes of a VFIO device stand in one. Bodies of
// sections carry no length, so they are found by what surrounds them: the device's section and its tags.
import assert from 'node:assert/strict'

const magic = Buffer.from('QEVM')

/** What may stand in a device's section; all are numbers of 64 bits, the most significant byte first. */
const tags = {
  end: 0xffffffffef100001n,
  config: 0xffffffffef100002n,
  setup: 0xffffffffef100003n,
  data: 0xffffffffef100004n,
  initialSent: 0xffffffffef100005n,
}

const kinds = { start: 1, part: 2, end: 3 }
const footer = 0x7e

/** The number of the device's section, and where its first one begins. */
const findDevice = (bytes) => {
  const at = bytes.indexOf('/vfio')
  assert.ok(at > 0, 'no VFIO device in the file')
  let name = at
  // The name has its length before it, and the number of the section before that.
  while (bytes[name - 1] !== at + '/vfio'.length - name) name -= 1
  const start = name - 6
  assert.equal(bytes[start], kinds.start)
  return { section: bytes.readUInt32BE(start + 1), from: start }
}

/**
 * Where a VFIO device's data stand in a file: `{ at, length }` of each piece, in order.
 *
 * @param {Buffer} bytes
 */
export const piecesOf = (bytes) => {
  assert.deepEqual(bytes.subarray(0, 4), magic, 'not a migration file')
  const { section, from } = findDevice(bytes)
  const number = Buffer.alloc(5)
  number.writeUInt32BE(section, 1)
  const pieces = []
  for (const kind of [kinds.part, kinds.end]) {
    number[0] = kind
    for (let at = bytes.indexOf(number, from); at >= 0; at = bytes.indexOf(number, at + 1)) {
      pieces.push(...body(bytes, at + number.length, section))
    }
  }
  return pieces.sort((one, other) => one.at - other.at)
}

/** The pieces of data of one section; none if this is no section, but bytes that look like the head of one. */
const body = (bytes, start, section) => {
  const found = []
  let at = start
  for (;;) {
    if (at + 8 > bytes.length) return []
    const tag = bytes.readBigUInt64BE(at)
    at += 8
    if (tag === tags.data) {
      const length = Number(bytes.readBigUInt64BE(at))
      found.push({ at: at + 8, length })
      at += 8 + length
    } else if (tag === tags.end || tag === tags.initialSent) break
    else if (tag !== tags.setup) return []
  }
  return bytes[at] === footer && bytes.readUInt32BE(at + 1) === section ? found : []
}

/** The data of the VFIO device in a file, as it was read from the device. */
export const dataOf = (bytes) => Buffer.concat(piecesOf(bytes).map(({ at, length }) => bytes.subarray(at, at + length)))

/** The file with other data of the same length in the same places. */
export const withData = (bytes, data) => {
  const copy = Buffer.from(bytes)
  let used = 0
  for (const { at, length } of piecesOf(bytes)) {
    data.copy(copy, at, used, used + length)
    used += length
  }
  assert.equal(used, data.length, 'the file has room for another length')
  return copy
}
