import { isVfioError, VfioError, type VfioErrorCode } from '../errors.ts'

/** Exit statuses, which scripts rely on. */
export const status = { done: 0, failed: 1, usage: 2, unsupported: 3, inDoubt: 4, lost: 5, cancelled: 130 } as const

const byCode: Partial<Record<VfioErrorCode, number>> = {
  ERR_VFIO_USAGE: status.usage,
  ERR_VFIO_PLATFORM: status.unsupported,
  ERR_VFIO_HOST: status.unsupported,
  ERR_VFIO_UNSUPPORTED: status.unsupported,
  ERR_VFIO_IN_DOUBT: status.inDoubt,
  ERR_VFIO_CANCELLED: status.cancelled,
}

/** The status that an error ends the program with. */
export const statusOf = (error: unknown): number => {
  if (!isVfioError(error)) return status.failed
  // That a device is lost outweighs why the session ended.
  if (error.details.summary?.outcome === 'lost') return status.lost
  return byCode[error.code] ?? status.failed
}

/** What is not an error of ours, such as a report that cannot be written, as one. */
export const asVfioError = (error: unknown): VfioError => {
  if (isVfioError(error)) return error
  const message = error instanceof Error ? error.message : String(error)
  return new VfioError('ERR_VFIO_TRANSPORT', message, {}, { cause: error })
}

/** An error as one line: what happened, and what to do about it. */
export const lineOf = (error: VfioError): string => {
  const { remedy } = error.details
  return `vfio-migration: ${error.code}: ${error.message}${remedy ? ` (${remedy})` : ''}`.replaceAll(/\s*\n\s*/g, ' ')
}

/** An error as a value for JSON. */
export const errorValue = (error: VfioError) => {
  const { summary: _summary, ...details } = error.details
  // A live handle is nothing that can be written down.
  const { device: _device, ...plain } = details as Record<string, unknown>
  return { code: error.code, message: error.message, ...plain }
}
