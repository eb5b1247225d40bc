import { doctor } from '../discovery.ts'
import { usage } from '../errors.ts'
import type { Arguments } from './arguments.ts'
import { status } from './exit.ts'
import { hostOptions } from './list.ts'
import { Output } from './output.ts'
import { table } from './table.ts'

/** `doctor [DEVICE]` */
export const runDoctor = async ({ operands, values }: Arguments): Promise<number> => {
  const [address, ...more] = operands
  if (more.length > 0) throw usage('doctor takes one device, or none for all')
  const output = new Output(values)
  const { able, findings } = await doctor(address, hostOptions(values))
  const { red, yellow, green, bold } = output.paint
  const lines = table(
    findings.map(({ code, device, blocks, what, remedy }) => [
      blocks ? red('blocks') : yellow('mind'),
      device ?? 'host',
      bold(code),
      `${what} (${remedy})`,
    ]),
  )
  // Without its settings: a token is shown nowhere.
  const about = address?.split('?')[0] ?? 'this host'
  if (findings.length === 0) lines.push(green(`nothing is in the way of migrating ${about}`))
  output.result(lines, { ok: able, able, findings })
  return able ? status.done : status.unsupported
}
