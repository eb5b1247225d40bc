// Runs the command line in a machine, as it is published: the Node program with its addon.
import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The program, for those who start it otherwise. */
export const program = fileURLToPath(new URL('../../ts/dist/cli/main.js', import.meta.url))

const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 }

/** Runs a command to its end; gives back its status, and what it printed as an object if it had `--json`. */
export const cli = (...args) => {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [program, ...args], options)
  if (error) throw error
  const json = args.includes('--json') && stdout !== '' ? JSON.parse(stdout) : undefined
  return { status, stdout, stderr, json }
}

/** Runs a command while this process does something else; its end. */
export const cliLater = (...args) =>
  new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], options, (error, stdout, stderr) => {
      resolve({ status: error ? error.code : 0, stdout, stderr })
    })
  })
