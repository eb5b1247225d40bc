// Runs a command in a machine of the test bed:
//   node testbed/run.mjs --kernel 6.12|7.3 --set stock|hybrid|custom|kasan [--igb] [--load mtty,ours] [--env NAME=VALUE]
//     [--share FOLDER] [--memory MIB] [--timeout SECONDS] [--log FILE] -- COMMAND ARGS
// It ends with the command's exit status; with 125 if the machine failed, with 77 if it cannot be had here.
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Missing, say } from './cache.mjs'
import { customs } from './custom.mjs'
import { generations } from './kernels.mjs'
import { defaultTimeout, runIn } from './machine.mjs'
import { sets } from './modules.mjs'

const usage = (why) => {
  say(why)
  console.error('usage: node testbed/run.mjs [--kernel 6.12|7.3] [--set stock|hybrid|custom|kasan] [--load mtty,ours]')
  console.error('         [--igb] [--env NAME=VALUE] [--share FOLDER] [--memory MIB] [--timeout SECONDS] [--log FILE]')
  console.error('         -- COMMAND ARGS')
  process.exit(2)
}

const parse = () => {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        kernel: { type: 'string', default: generations[0] },
        set: { type: 'string', default: sets[0] },
        load: { type: 'string', default: 'mtty' },
        igb: { type: 'boolean', default: false },
        env: { type: 'string', multiple: true, default: [] },
        share: { type: 'string' },
        memory: { type: 'string', default: '1024' },
        timeout: { type: 'string', default: String(defaultTimeout) },
        log: { type: 'string' },
      },
    })
  } catch (error) {
    return usage(error.message)
  }
}

const { values, positionals: command } = parse()
const numberOf = (name) => (/^[1-9]\d*$/.test(values[name]) ? Number(values[name]) : usage(`--${name} takes a number`))
if (!generations.includes(values.kernel)) usage(`--kernel is one of ${generations.join(', ')}`)
const known = [...sets, ...customs]
if (!known.includes(values.set)) usage(`--set is one of ${known.join(', ')}`)
if (command.length === 0) usage('no command')
const variables = values.env.map((pair) => {
  const at = pair.indexOf('=')
  return at > 0 ? [pair.slice(0, at), pair.slice(at + 1)] : usage(`--env takes NAME=VALUE, not ${pair}`)
})

try {
  const ended = await runIn(
    {
      kernel: values.kernel,
      set: values.set,
      load: values.load.split(',').filter(Boolean),
      igb: values.igb,
      memory: numberOf('memory'),
      timeout: numberOf('timeout'),
      env: Object.fromEntries(variables),
      share: values.share === undefined ? undefined : resolve(values.share),
      output: (stream, bytes) => process[stream].write(bytes),
    },
    command,
  )
  if (values.log !== undefined) writeFileSync(values.log, ended.log)
  if (ended.status === undefined) {
    say(`the machine ended before the command: ${ended.why}`)
    console.error(ended.log.trim().split('\n').slice(-60).join('\n'))
  }
  process.exitCode = ended.status ?? 125
} catch (error) {
  if (!(error instanceof Missing)) throw error
  say(`skipped: ${error.message}`)
  process.exitCode = 77
}
