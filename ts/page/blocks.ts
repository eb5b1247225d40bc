import { type Origin, sizeOf, slice } from './bytes.ts'

/** Bytes that are read of a file at once for the hex view, and how many such blocks are kept. */
const blockSize = 1 << 16
const kept = 32

/** The bytes of a file as a hex view wants them: here and there, again and again. */
export class Blocks {
  readonly #origin: Origin
  /** The oldest one first. */
  readonly #blocks = new Map<number, Promise<Uint8Array> | Uint8Array>()

  constructor(origin: Origin) {
    this.#origin = origin
  }

  /**
   * Some bytes, fewer at the file's end. What is here already comes at once.
   *
   * @throws Unreadable
   */
  read(at: number, length: number): Uint8Array | Promise<Uint8Array> {
    const end = Math.min(at + length, sizeOf(this.#origin))
    if (end <= at) return new Uint8Array()
    const first = Math.floor(at / blockSize)
    const last = Math.floor((end - 1) / blockSize)
    const blocks = Array.from({ length: last - first + 1 }, (_, place) => this.#block(first + place))
    const join = (all: readonly Uint8Array[]) => {
      const bytes = new Uint8Array(end - at)
      let place = 0
      for (const [number, block] of all.entries()) {
        const begin = (first + number) * blockSize
        const part = block.subarray(Math.max(0, at - begin), end - begin)
        bytes.set(part, place)
        place += part.length
      }
      return bytes.subarray(0, place)
    }
    return blocks.every((block) => block instanceof Uint8Array) ? join(blocks) : Promise.all(blocks).then(join)
  }

  #block(number: number): Promise<Uint8Array> | Uint8Array {
    const known = this.#blocks.get(number)
    if (known !== undefined) {
      this.#blocks.delete(number)
      this.#blocks.set(number, known)
      return known
    }
    const start = number * blockSize
    const reading = slice(this.#origin, start, Math.min(start + blockSize, sizeOf(this.#origin)))
    this.#blocks.set(number, reading)
    for (const oldest of this.#blocks.keys()) {
      if (this.#blocks.size <= kept) break
      this.#blocks.delete(oldest)
    }
    reading.then(
      (bytes) => this.#blocks.has(number) && this.#blocks.set(number, bytes),
      // The next look may find it again.
      () => this.#blocks.delete(number),
    )
    return reading
  }
}
