import { open } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { VfioError } from '../errors.ts'
import { packageVersion } from '../version.ts'
import { type Loaded, wasmPackage } from './loaded.ts'

const require = createRequire(import.meta.url)

/** A checkout has the binding where it was built, an installation in a package of its own. */
const built = (name: string) => fileURLToPath(new URL(`../../native/${name}`, import.meta.url))

/** `linux-x64-gnu`, as napi names platforms. */
const platform = () => {
  if (process.platform !== 'linux') return `${process.platform}-${process.arch}`
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return `linux-${process.arch}-${report.header?.glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`
}

/** What a place that has no binding says, unless there is none at all. */
interface Failure {
  readonly file: string
  readonly error?: unknown
}

/** The first of some places that there is; one that is there and does not load is the end of the search. */
const first = (candidates: readonly string[], form: Loaded['form'], failures: Failure[]): Loaded | undefined => {
  for (const file of candidates) {
    let found: string
    try {
      found = require.resolve(file)
    } catch {
      failures.push({ file })
      continue
    }
    try {
      return { binding: quietly(() => require(found)), form, file }
    } catch (error) {
      failures.push({ file, error })
      return undefined
    }
  }
  return undefined
}

/** Loads something without Node's word that its WASI is experimental. */
const quietly = <T>(load: () => T): T => {
  const { emitWarning } = process
  process.emitWarning = ((warning: string | Error, ...rest: []) => {
    if (!String(warning).startsWith('WASI is an experimental feature')) emitWarning.call(process, warning, ...rest)
  }) as typeof emitWarning
  try {
    return load()
  } finally {
    process.emitWarning = emitWarning
  }
}

/**
 * @internal The native addon of this platform; where there is none, WASM. `VFIO_MIGRATION_ADDON` names the one file to
 * load instead, `VFIO_MIGRATION_FORCE_WASM` passes over the native addon.
 */
export const loadBinding = (): Loaded => {
  const { VFIO_MIGRATION_ADDON: addon, VFIO_MIGRATION_FORCE_WASM: forced } = process.env
  const name = platform()
  const failures: Failure[] = []
  if (addon || !forced) {
    const native = addon ? [addon] : [built(`vfio-migration.${name}.node`), `vfio-migration-${name}`]
    const loaded = first(native, 'native', failures)
    if (loaded) return loaded
  }
  // An addon that is there is what was installed for this machine: what it cannot do is not hidden behind less.
  if (!addon && failures.every(({ error }) => error === undefined)) {
    const loaded = first([built('wasm/vfio-migration.wasi.cjs'), wasmPackage], 'wasm', failures)
    if (loaded) return loaded
  }
  throw unloadable(name, failures)
}

const unloadable = (name: string, failures: readonly Failure[]) => {
  const { file, error } = failures.at(-1) as Failure
  const what = error === undefined ? failures.map((failure) => failure.file).join(' and ') : file
  const why = error === undefined ? 'there is none' : error instanceof Error ? error.message : String(error)
  return new VfioError(
    'ERR_VFIO_PLATFORM',
    `no native addon for ${name}, and no WASM: ${what}: ${why}`,
    {
      file,
      wanted: packageVersion,
      remedy:
        error === undefined
          ? 'install with optional dependencies; in a checkout run "npm run build", or "npm run build:wasm"'
          : 'install the package again; in a checkout run "npm run build"',
    },
    error === undefined ? undefined : { cause: error },
  )
}

/** @internal A buffer without the zeros that would only be overwritten. */
export const freshBuffer = (size: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Buffer.allocUnsafeSlow(size).buffer as ArrayBuffer)

/** Bytes of a file that are read at once. */
const piece = 1 << 20

/**
 * @internal The pieces of a file, in two buffers: while one is used the next piece is read into the other. A pipe is not
 * read ahead: whoever wants no more of it would wait for its other end.
 */
export const piecesOfFile = async function* (path: string): AsyncGenerator<Uint8Array> {
  try {
    const file = await open(path)
    const read = (into: Uint8Array) => {
      const next = file.read(into, 0, piece)
      // Whoever asks for it hears why it failed; nobody may.
      next.catch(() => {})
      return next
    }
    let reading: ReturnType<typeof read> | undefined
    try {
      const ahead = (await file.stat()).isFile()
      let [now, next] = [new Uint8Array(piece), new Uint8Array(piece)]
      for (;;) {
        const { bytesRead } = await (reading ?? read(now))
        if (bytesRead === 0) return
        reading = ahead ? read(next) : undefined
        yield now.subarray(0, bytesRead)
        ;[now, next] = [next, now]
      }
    } finally {
      await reading?.catch(() => {})
      await file.close()
    }
  } catch (error) {
    if (error instanceof VfioError) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new VfioError('ERR_VFIO_TRANSPORT', `'${path}' cannot be read: ${why}`, {}, { cause: error })
  }
}
