import { usage } from '../../errors.ts'
import type { Arguments } from '../arguments.ts'
import { status } from '../exit.ts'
import { Output } from '../output.ts'
import { parseCount } from '../quantity.ts'
import { NamedFiles } from './files.ts'
import { servePage } from './server.ts'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** `view [FILE...]` */
export const runView = async ({ operands, values }: Arguments): Promise<number> => {
  if (operands.includes('-')) throw usage('view reads files from any place, which standard input does not allow')
  const port = parseCount(values.get('port') ?? '0', '--port', 0, 65_535)
  const output = new Output(values)
  // Before anything is said: whoever reads the address may end us at once.
  const ended = new Promise<void>((resolve) => {
    for (const signal of signals) process.once(signal, () => resolve())
  })
  const files = await NamedFiles.of(operands)
  const server = await servePage(files, port)
  output.note('open this address in a browser of this machine; Ctrl-C ends it')
  output.result([server.address], { ok: true, address: server.address })
  await ended
  await server.close()
  return status.done
}
