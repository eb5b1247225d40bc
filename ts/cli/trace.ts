import { readFile } from 'node:fs/promises'
import { usage, VfioError } from '../errors.ts'
import { diffTraces, foldTrace, type TraceChange, type TraceOptions } from '../trace.ts'
import type { Arguments } from './arguments.ts'
import { status } from './exit.ts'
import { Output } from './output.ts'

const calls = (text: string) => text.split(',').filter((call) => call !== '')

const optionsOf = (values: Arguments['values']): TraceOptions => {
  const [device, only, without] = ['device', 'only', 'without'].map((name) => values.get(name))
  return {
    ...(device === undefined ? {} : { device }),
    ...(only === undefined ? {} : { only: calls(only) }),
    ...(without === undefined ? {} : { without: calls(without) }),
  }
}

const textOf = async (path: string) => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new VfioError('ERR_VFIO_TRANSPORT', `the trace cannot be read: ${why}`, { remedy: 'check the path' })
  }
}

const show = async (paths: readonly string[], output: Output, options: TraceOptions) => {
  const [path, ...more] = paths
  if (path === undefined || more.length > 0) throw usage('trace show takes one file')
  const lines = (await foldTrace(await textOf(path), options)).split('\n').slice(0, -1)
  output.result(lines, { ok: true, lines })
  return status.done
}

/** Lines that are the same and far from a difference say nothing. */
const near = 3

const marked = (changes: readonly TraceChange[], { red, green, dim }: Output['paint']) => {
  const differs = changes.map(({ side }) => side !== 'both')
  const shown = changes.map((_, at) => differs.slice(Math.max(0, at - near), at + near + 1).includes(true))
  return changes.flatMap(({ side, line }, at) => {
    if (!shown[at]) return shown[at - 1] ? [dim('...')] : []
    return [side === 'both' ? `  ${line}` : side === 'first' ? red(`- ${line}`) : green(`+ ${line}`)]
  })
}

const diff = async (paths: readonly string[], output: Output, options: TraceOptions) => {
  const [first, second, ...more] = paths
  if (first === undefined || second === undefined || more.length > 0) throw usage('trace diff takes two files')
  const changes = await diffTraces(await textOf(first), await textOf(second), options)
  const ok = changes.every(({ side }) => side === 'both')
  output.result(ok ? ['the same'] : marked(changes, output.paint), { ok, changes })
  return ok ? status.done : status.failed
}

/** `trace show FILE`, `trace diff FILE FILE` */
export const runTrace = async ({ operands, values }: Arguments): Promise<number> => {
  const [what, ...paths] = operands
  const output = new Output(values)
  if (what === 'show') return show(paths, output, optionsOf(values))
  if (what === 'diff') return diff(paths, output, optionsOf(values))
  throw usage(`trace ${what ?? ''}: choose show or diff`)
}
