#!/usr/bin/env node
import { packageVersion } from '../version.ts'
import { type Arguments, parseArguments } from './arguments.ts'
import { runDemo } from './demo/demo.ts'
import { runDoctor } from './doctor.ts'
import { statusOf } from './exit.ts'
import { help, helpOf } from './help.ts'
import { runInspect } from './inspect.ts'
import { runList } from './list.ts'
import type { CommandName } from './options.ts'
import { Output } from './output.ts'
import { runProbe } from './probe.ts'
import { runRestore } from './restore.ts'
import { runProgram } from './run.ts'
import { runSave } from './save.ts'
import { runSimulate } from './simulate.ts'
import { runTrace } from './trace.ts'
import { runView } from './view/view.ts'

const runs: Readonly<Record<CommandName, (args: Arguments) => Promise<number>>> = {
  save: runSave,
  restore: runRestore,
  list: runList,
  probe: runProbe,
  doctor: runDoctor,
  trace: runTrace,
  inspect: runInspect,
  view: runView,
  run: runProgram,
  simulate: runSimulate,
  demo: runDemo,
}

/** Runs one command line; the status that the program ends with. */
const main = async (argv: readonly string[]): Promise<number> => {
  const [first] = argv
  if (first === '--help' || first === '-h' || first === 'help') return say(help())
  if (first === '--version') return say(packageVersion)
  // What cannot be read is told as JSON as well, if that much can be read.
  let values: Arguments['values'] = new Map(argv.some((word) => /^--json(=|$)/.test(word)) ? [['json', '']] : [])
  try {
    const args = parseArguments(argv)
    values = args.values
    if (values.has('help')) return say(helpOf(args.command))
    return await runs[args.command.name as CommandName](args)
  } catch (error) {
    new Output(
      values,
      argv.some((word, place) => word === '--to=-' || (word === '-' && argv[place - 1] === '--to')),
    ).failure(error)
    return statusOf(error)
  }
}

const say = (text: string) => {
  process.stdout.on('error', () => {})
  process.stdout.write(`${text}\n`)
  return 0
}

process.exitCode = await main(process.argv.slice(2))
