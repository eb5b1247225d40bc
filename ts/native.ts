import { loadBinding } from '#platform'
import type * as Binding from './binding.ts'
import type { AnyDevice } from './device.ts'
import { VfioError, type VfioErrorCode, type VfioErrorDetails } from './errors.ts'
import type { OpenDevice } from './handle.ts'
import type { Loaded, Native } from './platform/loaded.ts'
import type { SeenState } from './states.ts'
import { packageVersion } from './version.ts'

let loaded: Loaded | undefined

const load = (): Loaded => {
  loaded ??= checked(loadBinding())
  return loaded
}

/**
 * @internal The binding, loaded when it is first needed: importing the package works on every platform.
 */
export const native = (): Native => load().binding as Native

/** @internal Which form the binding has here. */
export const bindingForm = (): Loaded['form'] => load().form

const checked = (candidate: Loaded): Loaded => {
  const { binding, form, file } = candidate
  const found = typeof binding.version === 'function' ? binding.version() : 'unknown'
  if (found === packageVersion) return candidate
  const what = form === 'native' ? 'the native addon' : 'the WASM'
  throw new VfioError('ERR_VFIO_PLATFORM', `${what} ${file} has version ${found}, but ${packageVersion} is needed`, {
    file,
    wanted: packageVersion,
    found,
    remedy: 'install the package again; in a checkout run "npm run build"',
  })
}

/** @internal Whether what the addon answered is a failure. */
export const isFailure = (value: unknown): value is Binding.BindingError =>
  typeof value === 'object' && value !== null && 'code' in value && 'remedy' in value

const detailsOf = ({ remedy, object, state, errno }: Binding.BindingError) => ({
  remedy,
  ...(object === undefined ? {} : { object }),
  ...(state === undefined ? {} : { state: state as SeenState }),
  ...(errno === undefined ? {} : { errno }),
})

/** @internal The one place where a failure of the addon becomes an exception. */
export const toError = (
  failure: Binding.BindingError,
  details: VfioErrorDetails<VfioErrorCode> = {},
  options?: ErrorOptions,
): VfioError =>
  new VfioError(failure.code as VfioErrorCode, failure.message, { ...detailsOf(failure), ...details }, options)

/** @internal What the addon answered, or its failure as an exception. */
export const settle = <T>(answer: T): Exclude<T, Binding.BindingError> => {
  if (isFailure(answer)) throw toError(answer)
  return answer as Exclude<T, Binding.BindingError>
}

/** @internal A change of state that failed: the error carries a live handle in the state that the device says. */
export const deviceError = (failure: Binding.BindingError, from: SeenState, to: SeenState, opened: OpenDevice) => {
  // A state that could not be read is not known to be anything better.
  const now = (failure.state ?? 'error') as SeenState
  const device: AnyDevice | undefined = opened.closed ? undefined : opened.handle(now)
  return toError(failure, {
    from,
    to,
    ...(device === undefined ? {} : { device }),
  } as VfioErrorDetails<'ERR_VFIO_DEVICE_FAILED'>)
}
