import { Run } from './cli.js'

const said = 'peak of memory: '
const program = `
  import { readFileSync } from 'node:fs'
  process.on('exit', () => {
    const [, peak] = /VmHWM:\\s+(\\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))
    process.stderr.write('${said}' + peak + '\\n')
  })`

/**
 * A run of the command line, and the most memory that it had, in bytes. Linux only: what a process says of itself, since
 * what its parent is told counts the parent's memory too.
 */
export const runWithPeak = async (...args: string[]) => {
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(program)}` }
  const ran = await new Run(args, { env }).ended
  const peak = Number(new RegExp(`${said}(\\d+)`).exec(ran.stderr)?.[1]) * 1024
  return { ...ran, peak }
}
