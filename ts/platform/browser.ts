// What stands for ./node.ts where a bundler builds for browsers: the same exports, and nothing of Node's.
import { VfioError } from '../errors.ts'
import { packageVersion } from '../version.ts'
import { type Loaded, type Native, wasmPackage } from './loaded.ts'

const unloadable = (why: string, remedy: string, cause?: unknown) =>
  new VfioError(
    'ERR_VFIO_PLATFORM',
    `the WASM of vfio-migration cannot be loaded: ${why}`,
    { file: wasmPackage, wanted: packageVersion, remedy },
    cause === undefined ? undefined : { cause },
  )

const load = async (): Promise<Partial<Native> | VfioError> => {
  // Without isolation a memory can be made, and no thread can be given it.
  if (!(globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated) {
    return unloadable(
      'this page has no shared memory',
      'serve it with the headers "Cross-Origin-Opener-Policy: same-origin" and "Cross-Origin-Embedder-Policy: require-corp"',
    )
  }
  try {
    return (await import('vfio-migration-wasm32-wasi')).default
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return unloadable(why, `check that the bundle has what ${wasmPackage} consists of`, error)
  }
}

// A browser compiles what is larger than a few kilobytes only asynchronously, so it is loaded with this module; whoever
// imports the package for its types and tables alone need not handle a failure.
const outcome = await load()

/** @internal The WASM. */
export const loadBinding = (): Loaded => {
  if (outcome instanceof VfioError) throw outcome
  return { binding: outcome, form: 'wasm', file: wasmPackage }
}

/** @internal A buffer. */
export const freshBuffer = (size: number): Uint8Array<ArrayBuffer> => new Uint8Array(size)

/** @internal There are no paths here. */
// biome-ignore lint/correctness/useYield: what stands for a file gives nothing
export const piecesOfFile = async function* (path: string): AsyncGenerator<Uint8Array> {
  throw new VfioError('ERR_VFIO_PLATFORM', `'${path}' cannot be read: a browser has no files by path`, {
    remedy: 'hand over a File, a Blob or a stream',
  })
}
