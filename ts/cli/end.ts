import { writeFile } from 'node:fs/promises'
import type { Device } from '../device.ts'
import { isVfioError, usage, VfioError } from '../errors.ts'
import { toJson } from '../json.ts'
import { type Dialect, type OpenOptions, openDevice } from '../open.ts'
import { EventLog } from '../picture/event-log.ts'
import { endOfEvents } from '../picture/from-events.ts'
import { runOf } from '../picture/joining.ts'
import type { SessionEvent } from '../session/events.ts'
import type { Summary } from '../session/report.ts'
import type { Arguments } from './arguments.ts'
import { answerSignals, askForDecision, type Cancellable, type Decisions } from './doubt.ts'
import { status, statusOf } from './exit.ts'
import type { WantedPicture } from './html.ts'
import { LiveView } from './live.ts'
import type { Output } from './output.ts'
import { bytes, duration, parseTime } from './quantity.ts'

/** One end of a migration, as both commands see it. */
export interface End extends Cancellable {
  readonly done: Promise<Summary>
  events(): AsyncIterableIterator<SessionEvent, undefined>
}

/** The device that an operand names: `[NAME=]ADDRESS`. */
const device = (operand: string): { readonly id?: string; readonly address: string } => {
  const [, id, address] = /^([^:=]+)=(.*)$/s.exec(operand) ?? []
  return id === undefined || address === undefined ? { address: operand } : { id, address }
}

/** What the options say about devices with a migration region. */
export const regionOf = (values: Arguments['values']): Pick<OpenOptions, 'experimentalRegion'> => {
  const dialect = values.get('dialect') as Dialect | undefined
  const splitSegments = values.has('split-segments')
  if (values.has('experimental-region'))
    return { experimentalRegion: { ...(dialect === undefined ? {} : { dialect }), splitSegments } }
  if (dialect === undefined && !splitSegments) return {}
  throw usage(`--${dialect === undefined ? 'split-segments' : 'dialect'} is about migration regions`, {
    remedy: 'give --experimental-region as well',
  })
}

/** Opens all devices, or none. */
export const openDevices = async (operands: readonly string[], how: OpenOptions = {}): Promise<Device[]> => {
  if (operands.length === 0) throw usage('no device: name at least one, such as model:size=256MiB')
  const opened: Device[] = []
  try {
    for (const operand of operands) {
      const { address, ...options } = device(operand)
      opened.push(await openDevice(address, { ...how, ...options }))
    }
  } catch (error) {
    await Promise.all(opened.map((one) => one.close()))
    throw error
  }
  return opened
}

/** The text of an option that must be there. */
export const required = ({ command, values }: Arguments, name: string): string => {
  const value = values.get(name)
  if (value) return value
  const option = command.options.find((one) => one.name === name)
  throw usage(`--${name} ${option?.value ?? ''} is missing; see ${command.name} --help`)
}

/** Options that both ends have. */
export const commonOptions = (values: Arguments['values']) => {
  const timeout = values.get('timeout')
  return {
    ...(timeout === undefined ? {} : { deadlineMs: parseTime(timeout, '--timeout') }),
    ...(values.has('no-p2p-traffic') ? { noP2pTraffic: true } : {}),
  }
}

/** What a summary says besides its live handles: all of it for a file. */
const withoutHandles = ({ devices, ...report }: Summary) => ({
  ...report,
  ...(report.downtime ? { downtimeMs: report.downtime.totalMicros / 1000 } : {}),
  devices: devices.map(({ device: live, ...rest }) => ({
    ...rest,
    ...(live ? { state: live.state } : {}),
    ...(live?.holding ? { holding: live.holding } : {}),
  })),
})

/** The same for a line of output, where the events come before it if they are wanted. */
const inShort = (summary: Summary) => {
  const { course: _course, flow: _flow, ...rest } = withoutHandles(summary)
  return rest
}

/** What a person wants to know of a run that is over. */
const lines = (summary: Summary, title: string): string[] => {
  const { totalMicros, downtime, rate, objects } = summary
  const resets = objects.reduce((sum, object) => sum + object.resets, 0)
  const facts = [`${bytes(summary.bytes)} in ${duration(totalMicros)}`]
  if (rate) facts.push(`${bytes(rate)}/s`)
  if (downtime && downtime.totalMicros > 0) facts.push(`downtime ${duration(downtime.totalMicros)}`)
  // Those that the kernel does are not ours, and are told apart.
  const byKernel = summary.devices.filter(({ device: live }) => live?.holding?.resetByOpening).length
  facts.push(`${resets} resets${byKernel > 0 ? ` besides ${byKernel} by the kernel at opening` : ''}`)
  return [
    `${title}: ${summary.outcome}: ${facts.join(', ')}`,
    ...objects
      .filter((object) => object.walked.length > 0)
      .map((object) => `  ${object.id}: ${object.walked.map((step) => step.state).join(' → ')}`),
  ]
}

/** Follows one end from its start to its end, for people and for programs; the status that the program ends with. */
export const follow = async (
  end: End,
  output: Output,
  {
    title,
    report,
    picture,
    decisions,
    done,
  }: {
    readonly title: string
    readonly report: string | undefined
    readonly picture: WantedPicture | undefined
    readonly decisions: Decisions
    readonly done?: (summary: Summary) => void
  },
): Promise<number> => {
  const view = new LiveView(title)
  const log = picture ? new EventLog() : undefined
  const signals = answerSignals(end, output)
  let asking: { end(): void } | undefined
  output.live((width, paint) => view.draw(width, paint))
  const events = (async () => {
    for await (const event of end.events()) {
      view.apply(event)
      log?.hear(event)
      output.event(event)
      if (event.type === 'listening' && !output.json) output.note(`listening at ${event.address}`)
      if (event.type === 'in-doubt') asking ??= askForDecision(decisions, output)
    }
  })()
  const draw = async (summary: Summary) => {
    const run = runOf([endOfEvents(summary.side, log?.events ?? [], { report: summary })])
    await picture?.write(run, title)
  }
  try {
    const summary = await end.done.finally(() => events)
    await write(report, summary)
    await draw(summary)
    output.result(lines(summary, title), { ok: true, ...inShort(summary) })
    done?.(summary)
    return status.done
  } catch (error) {
    const summary = isVfioError(error) ? error.details.summary : undefined
    const note = (unwritten: unknown) => output.note(String(unwritten))
    if (summary) await write(report, summary).catch(note)
    if (summary) await draw(summary).catch(note)
    output.failure(error, summary ? inShort(summary) : {})
    return statusOf(error)
  } finally {
    asking?.end()
    signals()
  }
}

const write = async (path: string | undefined, summary: Summary) => {
  if (path === undefined) return
  try {
    await writeFile(path, `${toJson(withoutHandles(summary))}\n`)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new VfioError(
      'ERR_VFIO_TRANSPORT',
      `the report was not written: ${why}`,
      { remedy: 'check the path of --report' },
      { cause: error },
    )
  }
}
