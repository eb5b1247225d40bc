import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type * as Binding from './binding.ts'
import type { AnyDevice, OpenDevice } from './device.ts'
import { VfioError, type VfioErrorCode, type VfioErrorDetails } from './errors.ts'
import type { SeenState } from './states.ts'

type Native = typeof Binding

const require = createRequire(import.meta.url)
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

let loaded: Native | undefined

/** @internal The version of this package. */
export const packageVersion = version

/**
 * @internal The addon, loaded when it is first needed: importing the package works on every platform.
 */
export const native = (): Native => {
  loaded ??= load()
  return loaded
}

/** `linux-x64-gnu`, as napi names platforms. */
const platform = () => {
  if (process.platform !== 'linux') return `${process.platform}-${process.arch}`
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return `linux-${process.arch}-${report.header?.glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`
}

const load = (): Native => {
  const name = platform()
  // A checkout has the addon where it was built, an installation in a package of its own.
  const built = fileURLToPath(new URL(`../native/vfio-migration.${name}.node`, import.meta.url))
  const candidates = process.env.VFIO_MIGRATION_ADDON
    ? [process.env.VFIO_MIGRATION_ADDON]
    : [built, `vfio-migration-${name}`]
  const failures: unknown[] = []
  for (const candidate of candidates) {
    try {
      return checked(require(candidate) as Partial<Native>, candidate)
    } catch (error) {
      if (error instanceof VfioError) throw error
      failures.push(error)
      // A file that is there and does not load is the reason; one that is not there says only: try the next.
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') break
    }
  }
  const file = candidates[failures.length - 1] as string
  const missing = (failures.at(-1) as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND'
  const why = missing ? 'there is none' : String((failures.at(-1) as Error).message)
  throw new VfioError(
    'ERR_VFIO_PLATFORM',
    `no native addon for ${name}: ${missing ? candidates.join(' and ') : file}: ${why}`,
    {
      file,
      wanted: version,
      remedy: missing
        ? 'use Linux on x64 or arm64 and install with optional dependencies; in a checkout run "npm run build"'
        : 'install the package again; in a checkout run "npm run build"',
    },
    { cause: failures.at(-1) },
  )
}

const checked = (addon: Partial<Native>, file: string): Native => {
  const found = typeof addon.version === 'function' ? addon.version() : 'unknown'
  if (found === version) return addon as Native
  throw new VfioError('ERR_VFIO_PLATFORM', `the native addon ${file} has version ${found}, but ${version} is needed`, {
    file,
    wanted: version,
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
