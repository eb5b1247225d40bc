// CRC32C (Castagnoli), as docs/stream-format.md has it.
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0)
  return value >>> 0
})

/** The CRC32C of bytes, continued from that of what stood before them. */
export const crc32c = (bytes, from = 0) => {
  let value = ~from
  for (const byte of bytes) value = (value >>> 8) ^ table[(value ^ byte) & 0xff]
  return ~value >>> 0
}
