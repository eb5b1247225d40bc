// A small reader and rewriter of our stream format (docs/stream-format.md), for tests only: what bytes a file holds of each
// device. It checks as much as it needs to find them, and leaves damage to the program that is tested.
import assert from 'node:assert/strict'
import { crc32c } from './crc32c.mjs'

const magic = Buffer.from('8956464d0d0a1a0a', 'hex')
const preambleSize = 64
const headerSize = 64
/** Types of frames: bytes of an object, its end, and the end of everything. */
const data = 0x8001
const objectEnd = 0x8002
const end = 0x8006

/** The objects of a stream's table: their ids, in the order of their numbers. */
const objects = (bytes, at) => {
  const ids = []
  let place = at + 4
  for (let count = bytes.readUInt32LE(at); count > 0; count -= 1) {
    const kind = bytes[place]
    const length = bytes[place + 1]
    ids.push(bytes.toString('utf8', place + 2, place + 2 + length))
    place += 2 + length + 9
    if (kind === 2) place += 8
    else place = skipPassport(bytes, place + 9)
  }
  return ids
}

const skipPassport = (bytes, at) => {
  let place = at + 2
  for (let lines = bytes.readUInt16LE(at); lines > 0; lines -= 1) {
    place += 2 + bytes[place + 1]
    place += 2 + bytes.readUInt16LE(place)
  }
  return place
}

/**
 * Where the data of an object stand in a one-way stream: `{ at, length }` of each piece, in order.
 *
 * @param {Buffer} bytes the whole file
 * @param {string} id the object
 */
export const piecesOf = (bytes, id) => {
  assert.deepEqual(bytes.subarray(0, magic.length), magic, 'not a stream of ours')
  const ids = objects(bytes, preambleSize)
  const pieces = []
  for (let at = preambleSize + bytes.readUInt32LE(40); at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + 4)
    const wanted = bytes.readUInt16LE(at) === data && ids[bytes.readUInt32LE(at + 24)] === id
    if (wanted) pieces.push({ at: at + headerSize, length })
    at += headerSize + length
  }
  return pieces
}

/** The data of an object, as they were read from the device. */
export const dataOf = (bytes, id) =>
  Buffer.concat(piecesOf(bytes, id).map(({ at, length }) => bytes.subarray(at, at + length)))

/**
 * A one-way stream with other data of a device, of the same length: the same frames, with all that is computed from their
 * payloads. Its events and reports stay, so they speak of the bytes that were there before.
 *
 * @param {Buffer} bytes the whole file
 * @param {string} id the device
 * @param {Buffer} replacement
 */
export const withData = (bytes, id, replacement) => {
  const copy = Buffer.from(bytes)
  const ids = objects(copy, preambleSize)
  const table = preambleSize + copy.readUInt32LE(40)
  const seed = copy.readUInt32LE(table - 4)
  /** The payload checks of each object's frames, in order. */
  const checks = new Map(ids.map((name) => [name, []]))
  const sums = new Map()
  let used = 0
  for (let at = table; at < copy.length; ) {
    const type = copy.readUInt16LE(at)
    const payload = copy.subarray(at + headerSize, at + headerSize + copy.readUInt32LE(at + 4))
    const name = ids[copy.readUInt32LE(at + 24)]
    if (type === data && name === id) used += replacement.copy(payload, 0, used, used + payload.length)
    if (type === objectEnd) {
      sums.set(name, crc32c(Buffer.concat(checks.get(name))))
      payload.writeUInt32LE(sums.get(name), 16)
    }
    if (type === end) payload.writeUInt32LE(crc32c(Buffer.concat(ids.map((one) => word(sums.get(one))))), 16)
    copy.writeUInt32LE(crc32c(payload), at + 44)
    if (type === data) checks.get(name).push(Buffer.from(copy.subarray(at + 44, at + 60)))
    copy.writeUInt32LE(crc32c(copy.subarray(at, at + 60), seed), at + 60)
    at += headerSize + payload.length
  }
  assert.equal(used, replacement.length, 'the stream has room for another length')
  return copy
}

const word = (value) => {
  const four = Buffer.alloc(4)
  four.writeUInt32LE(value)
  return four
}
