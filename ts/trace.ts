import { record, text, textIn, textsIn } from './checks.ts'
import { native, settle } from './native.ts'

/** Which lines of a trace are looked at; all of them unless told otherwise. */
export interface TraceOptions {
  /** Only the lines of this device, as the trace calls it. */
  readonly device?: string
  /** Only these calls, such as `set-state`. */
  readonly only?: readonly string[]
  /** All calls but these. */
  readonly without?: readonly string[]
}

/** One line of a comparison. */
export interface TraceChange {
  /** Who has the line. */
  readonly side: 'both' | 'first' | 'second'
  /** The line, without how often it came and how many bytes there were. */
  readonly line: string
}

const filterOf = (options: TraceOptions) => {
  const device = textIn(record(options), 'device')
  const [only, without] = [textsIn(options, 'only'), textsIn(options, 'without')]
  return {
    ...(device === undefined ? {} : { device }),
    ...(only === undefined ? {} : { only }),
    ...(without === undefined ? {} : { without }),
  }
}

/**
 * Reads a trace, what was done to devices call by call, and writes it with what comes several times in a row written once:
 * `x4` after a line, braces around several.
 *
 * @throws VfioError `ERR_VFIO_USAGE` if the text is no trace, `ERR_VFIO_PLATFORM`
 *
 * @example
 * ```ts
 * import { foldTrace } from 'vfio-migration'
 * const line = '0 pre-copy read 65536B -> ENOMSG\n'
 * console.log(await foldTrace(line.repeat(3))) // 0 pre-copy     read 65536B -> ENOMSG x3
 * ```
 */
export const foldTrace = async (trace: string, options: TraceOptions = {}): Promise<string> =>
  settle(await native().foldTrace(text(trace, 'a trace'), filterOf(options)))

/**
 * Compares two traces: how often something came in a row does not count, nor how many bytes there were. They are the same if
 * every line is on both sides.
 *
 * @throws VfioError `ERR_VFIO_USAGE` if a text is no trace, `ERR_VFIO_PLATFORM`
 *
 * @example
 * ```ts
 * import { diffTraces } from 'vfio-migration'
 * const changes = await diffTraces('0 running set-state stop', '0 running reset')
 * console.log(changes.filter(({ side }) => side !== 'both').length) // 2
 * ```
 */
export const diffTraces = async (
  first: string,
  second: string,
  options: TraceOptions = {},
): Promise<readonly TraceChange[]> => {
  const [one, other] = [text(first, 'a trace'), text(second, 'a trace')]
  return settle(await native().diffTraces(one, other, filterOf(options))) as readonly TraceChange[]
}
