import { record } from '../checks.ts'
import { usage } from '../errors.ts'
import type { Capability, SeenState } from '../states.ts'

/** Whose reading of the region protocol a device follows. */
export type SimulatedDialect = 'thread' | 'qemu' | 'libvfio-user'

/** A device of a simulation: the same at both ends. */
export interface SimulatedDevice {
  /** What it is capable of besides stop-copy. Of a region, `p2p` goes with the dialect `thread` only. */
  readonly capabilities: readonly Capability[]
  /** @default 'fsm' */
  readonly protocol?: 'fsm' | 'region'
  /** Of a region. @default 'thread' */
  readonly dialect?: SimulatedDialect
}

/**
 * One thing that goes wrong, and where: at a step of an end, by the number that the course gives it, or at a message of
 * one direction. `save:12:fails(5)`, `restore:7:killed`, `forward:3:cut(0)`.
 */
export type ScenarioFault = `${'save' | 'restore' | 'forward' | 'back'}:${number}:${string}`

/** A wish of an end's caller, right before one of its steps. */
export type ScenarioWish =
  `${'save' | 'restore'}:${number}:${'cancel' | 'switchover' | 'take-back' | 'force' | 'discard' | 'claim'}`

/**
 * A migration to simulate: the same scenario always takes the same course. Everything may be left out. Times are in
 * microseconds of the virtual clock, sizes in bytes.
 */
export interface Scenario {
  /** Decides everything that is left to chance. @default 1 */
  readonly seed?: number | bigint
  /** One to four. @default one that can do everything */
  readonly devices?: readonly SimulatedDevice[]
  /** What all regions are like apart from their dialect, as settings of a software device: `window=8KiB`. */
  readonly region?: string
  /** Bytes of data that each device has: up to 512 KiB. @default 20480 */
  readonly data?: number
  /** Pages of guest memory that move with the devices: up to 256. @default 16 */
  readonly pages?: number
  /** What lies between the ends: a connection, or a one-way pipe or file. @default 'connected' */
  readonly way?: 'connected' | 'pipe' | 'file'
  /** In which state the session finds the source's devices. @default 'running' */
  readonly found?: SeenState
  /** In which state the session finds the destination's devices. @default 'running' */
  readonly there?: SeenState
  /** Payload of one frame: 4 KiB to 256 KiB. @default 4096 */
  readonly chunk?: number
  /** How many chunks may be in flight: up to 32. @default 4 */
  readonly depth?: number
  /** For every wait of the source. @default 200000 */
  readonly deadlineMicros?: number
  /** For every wait of the destination. @default 200000 */
  readonly restoreDeadlineMicros?: number
  /** Switch over once what is left fits this. @default 5000 */
  readonly downtimeBudgetMicros?: number
  /** Switch over at the latest after this long. @default 100000 */
  readonly maxPreCopyMicros?: number
  /** How long to wait in pre-copy when nothing is left. @default 1000 */
  readonly pollMicros?: number
  /** Whether to use pre-copy at all. @default true */
  readonly preCopy?: boolean
  /** Most bytes a second. @default as fast as it goes */
  readonly rate?: number | bigint
  /** What a one-way save does at its end. @default 'stop' */
  readonly then?: 'stop' | 'resume'
  /** What happens to a source's device that cannot be brought back. @default 'leave' */
  readonly unrecoverable?: 'leave' | 'reset'
  /** The callers' word that no device of the group accesses another. @default false */
  readonly noP2PTraffic?: boolean
  /** Only check whether everything fits. @default false */
  readonly dryRun?: boolean
  /** Whether the guest runs after a one-way stream. @default as the stream says */
  readonly run?: boolean
  /** From the last byte sent to the last byte received. @default 50 */
  readonly latencyMicros?: number
  /** Bytes a second of the link. @default 104857600 */
  readonly bandwidth?: number | bigint
  /** Bytes that the link holds in one direction. @default 32768 */
  readonly capacity?: number
  /** How long a call takes, about. @default 20 */
  readonly callMicros?: number
  /** What a device works in a millisecond, in ticks: up to 64. @default 4 */
  readonly ticks?: number
  /** Pages of memory that the guest writes to in a millisecond: up to 64. @default 2 */
  readonly writes?: number
  /** Pages of its own that a device changes in a tick: up to 64. @default 1 */
  readonly churn?: number
  /** After how many reads a device has new initial data. @default never */
  readonly reinitAfter?: number
  /** What goes wrong inside of the source's first device, as faults of a software device: `read@3:EIO`. */
  readonly sourceModel?: readonly string[]
  /** What goes wrong inside of the destination's first device. */
  readonly destinationModel?: readonly string[]
  /** What goes wrong. */
  readonly faults?: readonly ScenarioFault[]
  /** What the callers wish, and when. */
  readonly wishes?: readonly ScenarioWish[]
  /** How the callers settle doubt, once nothing goes on by itself. @default 'source' */
  readonly settle?: 'nobody' | 'source' | 'destination' | 'force'
}

/** What each property is called in a scenario's text. */
const words = {
  seed: ['seed'],
  region: ['region'],
  data: ['data'],
  pages: ['pages'],
  way: ['way'],
  found: ['found'],
  there: ['there'],
  chunk: ['chunk'],
  depth: ['depth'],
  deadlineMicros: ['deadline'],
  restoreDeadlineMicros: ['restore-deadline'],
  downtimeBudgetMicros: ['budget'],
  maxPreCopyMicros: ['max-pre-copy'],
  pollMicros: ['poll'],
  preCopy: ['pre-copy'],
  rate: ['rate'],
  then: ['then'],
  unrecoverable: ['unrecoverable'],
  noP2PTraffic: ['no-p2p-traffic', 'restore-no-p2p-traffic'],
  dryRun: ['dry-run'],
  run: ['run'],
  latencyMicros: ['latency'],
  bandwidth: ['bandwidth'],
  capacity: ['capacity'],
  callMicros: ['call'],
  ticks: ['ticks'],
  writes: ['writes'],
  churn: ['churn'],
  reinitAfter: ['reinit-after'],
  settle: ['settle'],
} as const satisfies Record<
  Exclude<keyof Scenario, 'devices' | 'faults' | 'wishes' | 'sourceModel' | 'destinationModel'>,
  readonly string[]
>

/** What may stand several times. */
const lists = {
  sourceModel: 'source-model',
  destinationModel: 'destination-model',
  faults: 'fault',
  wishes: 'command',
} as const

const valueText = (name: string, value: unknown): string => {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint') {
    throw usage(`a scenario's ${name} is a text, a number or a boolean, not ${value === null ? 'null' : typeof value}`)
  }
  const text = `${value}`
  if (/\s/.test(text)) throw usage(`a scenario's ${name} has no blanks in it: '${text}'`)
  return text
}

const deviceWords = (devices: readonly SimulatedDevice[]): string[] => {
  if (!Array.isArray(devices)) throw usage("a scenario's devices are an array")
  const sets = devices.map(({ capabilities }) => ['stop-copy', ...capabilities].join('+'))
  const dialects = devices.map(({ protocol, dialect }) => {
    if (protocol === 'region') return dialect ?? 'thread'
    if (dialect !== undefined) throw usage("only a device with protocol 'region' has a dialect")
    return 'fsm'
  })
  const some = dialects.some((dialect) => dialect !== 'fsm')
  return [
    `devices=${valueText('devices', sets.join(','))}`,
    ...(some ? [`dialects=${valueText('dialect', dialects.join(','))}`] : []),
  ]
}

/**
 * The text of a scenario, which replays it on any platform and on the command line: `vfio-migration simulate TEXT`.
 *
 * @throws VfioError `ERR_VFIO_USAGE`
 *
 * @example
 * ```ts
 * import { scenarioText } from 'vfio-migration/simulation'
 * scenarioText({ seed: 7, pages: 8, faults: ['save:12:fails(5)'] }) // 'seed=7 pages=8 fault=save:12:fails(5)'
 * ```
 */
export const scenarioText = (scenario: Scenario): string =>
  Object.entries(record(scenario, 'a scenario is an object'))
    .flatMap(([name, value]): string[] => {
      if (value === undefined) return []
      if (name === 'devices') return deviceWords(value)
      if (Object.hasOwn(lists, name)) {
        if (!Array.isArray(value)) throw usage(`a scenario's ${name} are an array`)
        return value.map((one) => `${lists[name as keyof typeof lists]}=${valueText(name, one)}`)
      }
      if (!Object.hasOwn(words, name)) throw usage(`a scenario has no ${name}`)
      return words[name as keyof typeof words].map((word) => `${word}=${valueText(name, value)}`)
    })
    .join(' ')
