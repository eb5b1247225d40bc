import { bindingForm, native } from './native.ts'
import { packageVersion } from './version.ts'

/** What the addon holds and has done, for tests and for whoever looks for a leak. */
export interface Diagnostics {
  /** The version of the package, and of its addon. */
  readonly version: string
  /** Whether it is the native addon, or WASM: then there are no devices of a kernel, no sockets and no files. */
  readonly form: 'native' | 'wasm'
  /** How many buffers with payload have crossed between Rust and JavaScript, in all threads: 0 on the native path. */
  readonly buffersForJavaScript: number
  /** How many devices and sessions of this JavaScript thread have a native thread. */
  readonly living: number
}

/**
 * Looks at the addon.
 *
 * @throws VfioError `ERR_VFIO_PLATFORM` where there is none
 *
 * @example
 * ```ts
 * import { diagnostics } from 'vfio-migration'
 * console.log(diagnostics().buffersForJavaScript)
 * ```
 */
export const diagnostics = (): Diagnostics => ({
  version: packageVersion,
  form: bindingForm(),
  buffersForJavaScript: native().buffersForJavaScript(),
  living: native().living(),
})
