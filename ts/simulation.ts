/**
 * Whole migrations on a virtual clock: both ends, their devices and the link between them, with everything that can go
 * wrong. The sessions are the real ones; only the world around them is simulated. Works on every platform.
 *
 * @module
 */
import { record } from './checks.ts'
import { native, settle } from './native.ts'
import { parseWire } from './session/wire.ts'
import type { Course, Moment, Situation } from './simulation/course.ts'
import { type Scenario, scenarioText } from './simulation/scenario.ts'

export type { Broken, Course, EndSituation, Moment, MomentKind, Place, Situation } from './simulation/course.ts'
export {
  type Scenario,
  type ScenarioFault,
  type ScenarioWish,
  type SimulatedDevice,
  type SimulatedDialect,
  scenarioText,
} from './simulation/scenario.ts'

/** As the binding writes it: situations by their places in a list. */
interface Written extends Omit<Course, 'moments'> {
  readonly moments: readonly (Omit<Moment, 'then'> & { readonly then: number })[]
  readonly situations: readonly Situation[]
}

/**
 * Simulates a migration to its end, and answers its course. What fails in it is no error: sessions exist to put up with
 * that, and the course tells what became of the guest. Takes milliseconds; a scenario's bounds see to that.
 *
 * @throws VfioError `ERR_VFIO_USAGE` if it is no scenario, is larger than one may be, or goes on for too long;
 * `ERR_VFIO_DEVICE_FAILED` where a session refuses to begin with such devices; `ERR_VFIO_PLATFORM`
 *
 * @example
 * ```ts
 * import { simulate } from 'vfio-migration/simulation'
 * const devices = [{ capabilities: ['p2p', 'pre-copy'] }, { capabilities: ['p2p'] }] as const
 * const { moments, reports } = simulate({ seed: 7, devices, pages: 8, faults: ['restore:3:fails(5)'] })
 * const last = moments.at(-1)
 * console.log(reports.save?.outcome, last?.then.owner, last?.then.save.guest) // returned save true
 * ```
 */
export const simulate = (scenario: Scenario | string): Course => {
  const text =
    typeof scenario === 'string' ? scenario : scenarioText(record(scenario, 'a scenario is an object or a text'))
  const { situations, moments, ...course } = parseWire(settle(native().simulate(text))) as Written
  return {
    ...course,
    moments: moments.map((moment) => ({ ...moment, then: situations[moment.then] as Situation }) as Moment),
  }
}
