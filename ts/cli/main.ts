#!/usr/bin/env node
import { packageVersion } from '../version.ts'
import { type Arguments, parseArguments } from './arguments.ts'
import { statusOf } from './exit.ts'
import { help, helpOf } from './help.ts'
import type { CommandName } from './options.ts'
import { Output } from './output.ts'

/** Each command is loaded when it is run: all of them together take longer to load than most take to run. */
const commands: Readonly<Record<CommandName, () => Promise<(args: Arguments) => Promise<number>>>> = {
  save: async () => (await import('./save.ts')).runSave,
  restore: async () => (await import('./restore.ts')).runRestore,
  list: async () => (await import('./list.ts')).runList,
  probe: async () => (await import('./probe.ts')).runProbe,
  doctor: async () => (await import('./doctor.ts')).runDoctor,
  trace: async () => (await import('./trace.ts')).runTrace,
  inspect: async () => (await import('./inspect.ts')).runInspect,
  view: async () => (await import('./view/view.ts')).runView,
  run: async () => (await import('./run.ts')).runProgram,
  simulate: async () => (await import('./simulate.ts')).runSimulate,
  demo: async () => (await import('./demo/demo.ts')).runDemo,
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
    const run = await commands[args.command.name as CommandName]()
    return await run(args)
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
