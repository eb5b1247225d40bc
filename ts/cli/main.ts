#!/usr/bin/env node
import { packageVersion } from '../native.ts'
import { type Arguments, parseArguments } from './arguments.ts'
import { runDemo } from './demo/demo.ts'
import { statusOf } from './exit.ts'
import { help, helpOf } from './help.ts'
import { Output } from './output.ts'
import { runRestore } from './restore.ts'
import { runSave } from './save.ts'

const run = (args: Arguments): Promise<number> => {
  if (args.command.name === 'save') return runSave(args)
  if (args.command.name === 'restore') return runRestore(args)
  return runDemo(args)
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
