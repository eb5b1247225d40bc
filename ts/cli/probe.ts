import { usage } from '../errors.ts'
import { type Probe, probe } from '../probe.ts'
import type { Arguments } from './arguments.ts'
import { regionOf } from './end.ts'
import { status } from './exit.ts'
import { Output } from './output.ts'
import { bytes } from './quantity.ts'
import { table } from './table.ts'

const lines = ({ address, protocol, state, capabilities, dataSize, passport, holding }: Probe) =>
  table([
    ['address', address],
    [
      'protocol',
      protocol === 'region' ? 'region (v1), experimental: QEMU until 7.2 moves it, later ones do not' : protocol,
    ],
    ['state', state],
    ['capable of', ['stop-copy', ...capabilities].join(', ')],
    ['data', dataSize === undefined ? 'unknown' : bytes(dataSize)],
    ...passport.map(({ key, value, needed }) => [key, needed ? value : `${value} (need not be the same elsewhere)`]),
    ...(holding ? [['opened', holding.by ? `by ${holding.by}` : 'by somebody else']] : []),
    ...(holding?.wasReset ? [['reset', `it was left in ${holding.found}`]] : []),
    ...(holding?.resetByOpening ? [['reset', 'by the kernel, when it was opened and when it was closed']] : []),
  ])

/** `probe DEVICE` */
export const runProbe = async ({ operands, values }: Arguments): Promise<number> => {
  const [address, ...more] = operands
  if (address === undefined || more.length > 0) throw usage('probe takes one device, such as vfio:0000:65:00.1')
  const output = new Output(values)
  const probed = await probe(address, {
    ...regionOf(values),
    beforeOpening({ name, resetByOpening }) {
      if (resetByOpening) output.note(`vfio-migration: opening ${name} resets it`)
    },
  })
  output.result(lines(probed), { ok: true, ...probed })
  return status.done
}
