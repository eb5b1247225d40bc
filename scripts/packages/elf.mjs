// What a shared library asks of the system that loads it, read from its ELF file (64 bit, little endian; the layout is that
// of the System V ABI and, for versions of symbols, of the Linux Standard Base).
import { readFileSync } from 'node:fs'

const sectionType = { dynamic: 6, dynsym: 11, versionNeed: 0x6ffffffe, versionOf: 0x6fffffff }
const needed = 1n
const weak = 2

/**
 * Reads a library or a program that is linked dynamically.
 *
 * @returns {{ machine: number, needed: string[], asked: Map<string, string | undefined>, given: Set<string> }} the number of
 *   its processor; the libraries that it needs; each symbol that it must find elsewhere, with its version, such as
 *   `GLIBC_2.17`, where it has one; the symbols that it gives
 * @throws {Error} what is wrong with the file
 */
export const readElf = (path) => {
  const file = readFileSync(path)
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46) throw new Error(`${path} is no ELF file`)
  if (file[4] !== 2 || file[5] !== 1) throw new Error(`${path} is not of 64 bits and little endian`)
  const sections = sectionsOf(file)
  const text = (table, offset) => {
    const start = Number(table.offset) + offset
    return file.toString('latin1', start, file.indexOf(0, start))
  }
  const one = (type) => sections.find((section) => section.type === type)
  const symbols = one(sectionType.dynsym)
  if (symbols === undefined) throw new Error(`${path} has no dynamic symbols`)
  const names = sections[symbols.link]
  const versions = versionsOf(file, one(sectionType.versionNeed), sections, text)
  const versionIndex = one(sectionType.versionOf)

  const asked = new Map()
  const given = new Set()
  // The first symbol is none.
  for (let index = 1; index < symbols.size / 24; index += 1) {
    const at = symbols.offset + index * 24
    const name = text(names, file.readUInt32LE(at))
    const [binding, section] = [file[at + 4] >> 4, file.readUInt16LE(at + 6)]
    if (section !== 0) given.add(name)
    // A weak one may be missing: whoever asks looks whether it is there.
    else if (binding !== weak) {
      const version = versionIndex && file.readUInt16LE(versionIndex.offset + index * 2) & 0x7fff
      asked.set(name, versions.get(version))
    }
  }
  return {
    machine: file.readUInt16LE(18),
    needed: neededBy(file, one(sectionType.dynamic), sections, text),
    asked,
    given,
  }
}

const sectionsOf = (file) => {
  const [start, size, count] = [Number(file.readBigUInt64LE(40)), file.readUInt16LE(58), file.readUInt16LE(60)]
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * size
    return {
      type: file.readUInt32LE(at + 4),
      offset: Number(file.readBigUInt64LE(at + 24)),
      size: Number(file.readBigUInt64LE(at + 32)),
      link: file.readUInt32LE(at + 40),
    }
  })
}

/** The names of the versions that a file asks for, by the index that its symbols have. */
const versionsOf = (file, section, sections, text) => {
  const versions = new Map()
  if (section === undefined) return versions
  const names = sections[section.link]
  for (let at = section.offset, next = 1; next !== 0; at += next) {
    next = file.readUInt32LE(at + 12)
    for (let entry = at + file.readUInt32LE(at + 8), step = 1; step !== 0; entry += step) {
      step = file.readUInt32LE(entry + 12)
      versions.set(file.readUInt16LE(entry + 6), text(names, file.readUInt32LE(entry + 8)))
    }
  }
  return versions
}

const neededBy = (file, section, sections, text) => {
  const libraries = []
  for (let at = section.offset; at < section.offset + section.size; at += 16) {
    const tag = file.readBigInt64LE(at)
    if (tag === 0n) break
    if (tag === needed) libraries.push(text(sections[section.link], Number(file.readBigUInt64LE(at + 8))))
  }
  return libraries
}

/** The lowest glibc that has all that a library asks for, such as `2.28`; `undefined` where it asks for none. */
export const lowestGlibc = ({ asked }) =>
  [...new Set(asked.values())]
    .map((version) => version?.match(/^GLIBC_(\d[\d.]*)$/)?.[1])
    .filter((version) => version !== undefined)
    .sort(byVersion)
    .at(-1)

/** Compares `2.4` and `2.28` as versions. */
export const byVersion = (a, b) => a.localeCompare(b, 'en', { numeric: true })
