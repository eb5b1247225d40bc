// Runs the command line in a machine, as it is published: the Node program with its addon.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../../ts/dist/cli/main.js', import.meta.url))

/** Runs a command to its end; gives back its status, and what it printed as an object if it had `--json`. */
export const cli = (...args) => {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  if (error) throw error
  const json = args.includes('--json') && stdout !== '' ? JSON.parse(stdout) : undefined
  return { status, stdout, stderr, json }
}
