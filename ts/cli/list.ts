import { type FoundDevice, type HostOptions, listDevices } from '../discovery.ts'
import { usage } from '../errors.ts'
import type { Arguments } from './arguments.ts'
import { status } from './exit.ts'
import { Output } from './output.ts'
import { table } from './table.ts'

const title = [
  'ADDRESS',
  'DRIVER',
  'GROUP',
  'NODE',
  'MIGRATION',
  'PROTOCOL',
  'P2P',
  'PRE-COPY',
  'DIRTY-TRACKING',
  'IN USE',
]

/** Where the options say that the host is. */
export const hostOptions = (values: Arguments['values']): HostOptions => {
  const root = values.get('root')
  return root === undefined ? {} : { root }
}

/** Others that belong to the same program, each with its driver. */
const groupOf = ({ name, group }: FoundDevice) => {
  if (!group) return '-'
  const others = group.members.filter((member) => member.name !== name)
  const named = others.map((member) => `${member.name} (${member.driver ?? 'no driver'})`)
  return [`${group.number}${group.noIommu ? ' (no IOMMU)' : ''}`, ...named].join(', ')
}

const usedBy = ({ inUse, holders }: FoundDevice) =>
  inUse === 'yes' ? holders.map(({ command, pid }) => `${command} (pid ${pid})`).join(', ') : inUse

/** A region is moved only with --experimental-region. */
const protocolOf = ({ migration, protocol }: FoundDevice) => {
  if (migration === 'no') return '-'
  return protocol === 'region' ? 'region (experimental)' : (protocol ?? 'unknown')
}

const row = (found: FoundDevice) => [
  found.address,
  found.driver ?? '-',
  groupOf(found),
  found.cdev ?? found.group?.node ?? '-',
  found.migration,
  protocolOf(found),
  found.p2p,
  found.preCopy,
  found.dirtyTracking,
  usedBy(found),
]

/** `list` */
export const runList = async ({ operands, values }: Arguments): Promise<number> => {
  if (operands.length > 0) throw usage('list takes no operands: doctor and probe look at one device')
  const output = new Output(values)
  const devices = await listDevices(hostOptions(values))
  if (devices.length === 0 && !output.json) output.note('no device of this host has a VFIO driver; doctor says why')
  const lines = devices.length === 0 ? [] : table([title.map(output.paint.dim), ...devices.map(row)])
  output.result(lines, { ok: true, devices })
  return status.done
}
