import { constants, type Stats } from 'node:fs'
import { access, open, stat } from 'node:fs/promises'
import { basename, delimiter, join } from 'node:path'
import { usage, VfioError } from '../errors.ts'

/** Scripts whose interpreter is a script again: Linux follows a few. */
const mostInterpreters = 4

const machines: Partial<Record<NodeJS.Architecture, number>> = { x64: 62, arm64: 183 }

/**
 * The file of a program that a library can be preloaded into, found as a shell finds it.
 *
 * @throws VfioError `ERR_VFIO_USAGE` where there is no such program; `ERR_VFIO_UNSUPPORTED` where the loader would not load
 * the library: a static program, one of another libc or machine, one with the rights of somebody else.
 */
export const preloadable = async (name: string): Promise<string> => {
  const path = await found(name)
  await check(path, mostInterpreters)
  return path
}

const found = async (name: string) => {
  const folders = name.includes('/') ? [''] : (process.env.PATH ?? '').split(delimiter)
  let denied: string | undefined
  for (const folder of folders) {
    const path = folder === '' ? name : join(folder, name)
    const there = await stat(path).catch(() => undefined)
    if (!there?.isFile()) continue
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path
    denied ??= path
  }
  if (denied !== undefined) throw usage(`${denied} may not be run`, { remedy: 'check its permissions' })
  throw usage(`there is no program '${name}'`, { remedy: 'check its name and PATH' })
}

const check = async (path: string, interpreters: number): Promise<void> => {
  const file = await open(path)
  try {
    refuseForeignRights(path, await file.stat())
    const read = async (at: number, size: number) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, at)
      return buffer.subarray(0, bytesRead)
    }
    const head = await read(0, 256)
    if (head.toString('latin1', 0, 2) === '#!') {
      const interpreter = /^#!\s*(\S+)/.exec(head.toString())?.[1]
      if (interpreter !== undefined && interpreters > 0) await check(await found(interpreter), interpreters - 1)
      return
    }
    await checkElf(path, head, read)
  } finally {
    await file.close()
  }
}

type Read = (at: number, size: number) => Promise<Buffer>

/** What of an ELF file tells whether a loader, and which, is going to load it: its program headers. */
const checkElf = async (path: string, head: Buffer, read: Read) => {
  const is64 = head.length >= 64 && head.readUInt32BE(0) === 0x7f454c46 && head[4] === 2 && head[5] === 1
  if (!is64 || head.readUInt16LE(18) !== machines[process.arch]) {
    throw unsupported(`${path} is no program for this machine (${process.arch})`, 'run a program for this machine')
  }
  const [at, size, count] = [Number(head.readBigUInt64LE(32)), head.readUInt16LE(54), head.readUInt16LE(56)]
  const headers = await read(at, size * count)
  for (let place = 0; place + 56 <= headers.length && size >= 56; place += size) {
    if (headers.readUInt32LE(place) !== 3) continue
    const [offset, length] = [8, 32].map((field) => Number(headers.readBigUInt64LE(place + field))) as [number, number]
    const loader = (await read(offset, Math.min(length, 4096))).toString().replace(/\0.*$/s, '')
    if (!basename(loader).startsWith('ld-musl')) return
    throw unsupported(`${path} is a program for musl, and the library to preload for glibc`, 'run one for glibc')
  }
  // A loader has none either, and takes the program as its argument.
  if (/^ld(-linux.*|64)?\.so/.test(basename(path))) return
  throw unsupported(`${path} is static: no library can be preloaded into it`, 'run one that is linked dynamically')
}

/** A program with the rights of somebody else is not given libraries by the caller. */
const refuseForeignRights = (path: string, { mode, uid, gid }: Stats) => {
  if ((mode & 0o4000 && uid !== process.getuid?.()) || (mode & 0o2000 && gid !== process.getgid?.())) {
    throw unsupported(
      `${path} runs with the rights of its owner: the loader ignores what is preloaded`,
      'run a copy of it',
    )
  }
}

const unsupported = (message: string, remedy: string) => new VfioError('ERR_VFIO_UNSUPPORTED', message, { remedy })
