import type * as Binding from '../binding.ts'

/** @internal The binding, in either form. */
export type Native = typeof Binding

/** @internal A binding that was loaded and whose version nobody has looked at yet. */
export interface Loaded {
  readonly binding: Partial<Native>
  /** The native addon, with everything; or WASM, without what needs a kernel. */
  readonly form: 'native' | 'wasm'
  /** The file or package that it came from. */
  readonly file: string
}

/** @internal The package of the WASM form, for every platform that has no native addon. */
export const wasmPackage = 'vfio-migration-wasm32-wasi'
