import type { AnyDevice } from './device.ts'
import type { Summary } from './session/report.ts'
import type { Capability, SeenState } from './states.ts'

/**
 * Who must act when something failed. The texts are API; docs/errors.md says of each what happened and what to do.
 */
export type VfioErrorCode =
  | 'ERR_VFIO_DEVICE_FAILED'
  | 'ERR_VFIO_MEMORY_FAILED'
  | 'ERR_VFIO_PEER'
  | 'ERR_VFIO_REFUSED'
  | 'ERR_VFIO_STREAM_CORRUPT'
  | 'ERR_VFIO_STREAM_TRUNCATED'
  | 'ERR_VFIO_INCOMPATIBLE'
  | 'ERR_VFIO_TRANSPORT'
  | 'ERR_VFIO_HOOK'
  | 'ERR_VFIO_USAGE'
  | 'ERR_VFIO_CANCELLED'
  | 'ERR_VFIO_DEADLINE'
  | 'ERR_VFIO_TOO_LATE'
  | 'ERR_VFIO_IN_DOUBT'
  | 'ERR_VFIO_UNSUPPORTED'
  | 'ERR_VFIO_HOST'
  | 'ERR_VFIO_PLATFORM'
  | 'ERR_VFIO_EXISTS'
  | 'ERR_VFIO_STALE_HANDLE'
  | 'ERR_VFIO_CLOSED'

/** What every error can tell. Absent is unknown. */
export interface CommonDetails {
  /** What can be done about it: one sentence. */
  readonly remedy?: string
  /** The device, memory or hook that it happened to, by its id. */
  readonly object?: string
  /** What the device says now. */
  readonly state?: SeenState
  /** What the call answered, by Linux's name: `EINVAL`. */
  readonly errno?: string
  /** Of a session that ended with this error: its whole course, and a live handle for every device that is still open. */
  readonly summary?: Summary
}

/** What the errors of one code tell besides {@link CommonDetails}. */
interface OwnDetails {
  ERR_VFIO_DEVICE_FAILED: {
    /** The state that the device was in, where a change of state failed. */
    readonly from?: SeenState
    /** The state that was asked for. */
    readonly to?: SeenState
    /** A live handle in the state that the device says it is in now, where a change of state or a reset failed. */
    readonly device?: AnyDevice
  }
  ERR_VFIO_UNSUPPORTED: {
    /** What the device would have to be capable of. */
    readonly missing?: readonly Capability[]
  }
  ERR_VFIO_STALE_HANDLE: {
    /** The state that the spent handle stood for. */
    readonly state: SeenState
  }
  ERR_VFIO_PLATFORM: {
    /** The file that was looked for or loaded. */
    readonly file?: string
    /** The version that it must have. */
    readonly wanted?: string
    /** The version that it has. */
    readonly found?: string
  }
}

/** The details of an error, typed by its code. */
export type VfioErrorDetails<K extends VfioErrorCode> = CommonDetails &
  (K extends keyof OwnDetails ? OwnDetails[K] : unknown)

const brand = Symbol.for('vfio-migration.error')

/**
 * The one class of all errors of this package. Tell them apart by `code`, with {@link isVfioError}.
 *
 * @example
 * ```ts
 * import { isVfioError, openDevice } from 'vfio-migration'
 * try {
 *   await openDevice('floppy:0')
 * } catch (error) {
 *   if (isVfioError(error, 'ERR_VFIO_UNSUPPORTED')) console.log(error.message, error.details.remedy)
 *   else throw error
 * }
 * ```
 */
export class VfioError<K extends VfioErrorCode = VfioErrorCode> extends Error {
  static {
    Object.defineProperty(VfioError.prototype, 'name', { value: 'VfioError', writable: true, configurable: true })
    Object.defineProperty(VfioError.prototype, brand, { value: true })
  }

  /** Who must act. */
  readonly code: K
  /** What is known besides the message, typed by the code. */
  readonly details: VfioErrorDetails<K>

  /** @internal */
  constructor(code: K, message: string, details: VfioErrorDetails<K>, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    // Not enumerable: a printed error shows its message and code, not the handles and reports that hang on it.
    this.details = details
    Object.defineProperty(this, 'details', { enumerable: false })
  }
}

/**
 * Whether something that was thrown is an error of this package, and of this code if one is given. Works across copies
 * of the package.
 */
export const isVfioError = <K extends VfioErrorCode = VfioErrorCode>(error: unknown, code?: K): error is VfioError<K> =>
  typeof error === 'object' &&
  error !== null &&
  brand in error &&
  (code === undefined || ('code' in error && error.code === code))

/** @internal The caller asked for something that cannot be. */
export const usage = (message: string, details: VfioErrorDetails<'ERR_VFIO_USAGE'> = {}) =>
  new VfioError('ERR_VFIO_USAGE', message, { remedy: 'mend the call; nothing was changed', ...details })
