// The folder where everything that was fetched or built is kept, and how several runs share it.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { took } from '../scripts/setup.mjs'

/** This folder, and the checkout that it belongs to. */
export const testbed = dirname(fileURLToPath(import.meta.url))
export const root = dirname(testbed)

export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'vfio-migration-testbed')

/** The machine lacks something that the bed needs: whoever runs tests says "skipped" and this reason. */
export class Missing extends Error {
  name = 'Missing'
}

/** One line about what is going on; standard output belongs to the command in the machine. */
export const say = (line) => console.error(`testbed: ${line}`)

/** Runs a program to its end and gives back what it printed; what it printed is in the error if it fails. */
export const run = (command, args, { env = {}, ...options } = {}) => {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
    env: { ...process.env, LC_ALL: 'C', ...env },
  })
  if (result.error?.code === 'ENOENT') throw new Missing(`this machine has no ${command}: install it`)
  if (result.error) throw result.error
  if (result.status !== 0) {
    const printed = `${result.stdout}${result.stderr}`.trim().split('\n').slice(-40).join('\n')
    throw new Error(`${command} ${args.join(' ')} ended with ${result.status ?? result.signal}:\n${printed}`)
  }
  return result.stdout
}

/** What tells one version of these texts from another. */
export const digest = (...texts) => {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(text).update('\0')
  return hash.digest('hex').slice(0, 12)
}

/** Whether a process is there. */
const alive = (pid) => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

/** How often this process holds the lock of the cache: what is being made may need other things to be made first. */
let held = 0

/** Runs `work` while no other process changes the cache. The lock is a folder: making one either succeeds or fails. */
export const locked = (work) => {
  const path = join(cache, 'lock')
  if (held === 0) take(path)
  held += 1
  try {
    return work()
  } finally {
    held -= 1
    if (held === 0) rmSync(path, { recursive: true, force: true })
  }
}

const take = (path) => {
  mkdirSync(cache, { recursive: true })
  for (let tries = 0; ; tries += 1) {
    try {
      mkdirSync(path)
      writeFileSync(join(path, 'pid'), `${process.pid}`)
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (abandoned(path)) rmSync(path, { recursive: true, force: true })
    else if (tries === 0) say('waiting for another run that changes the cache')
    sleep(250)
  }
}

/** Whether the owner of a lock is dead. */
const abandoned = (path) => {
  try {
    const pid = Number(readFileSync(join(path, 'pid'), 'utf8'))
    // An empty file is being written just now.
    return pid > 0 && !alive(pid)
  } catch {
    // Without the file its owner has only just made the folder, or died in that very moment.
    const made = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
    return Date.now() - made > 10_000
  }
}

/**
 * A folder of the cache, made by `make(folder)` if it is not there. It is made beside and renamed at the end, so that one
 * that is there is whole. The name must tell all that its content depends on.
 */
export const folder = (name, make) => {
  const path = join(cache, name)
  if (existsSync(path)) return path
  return locked(() => {
    if (existsSync(path)) return path
    const begun = Date.now()
    const half = `${path}.half`
    rmSync(half, { recursive: true, force: true })
    mkdirSync(half, { recursive: true })
    say(`making ${name}`)
    make(half)
    renameSync(half, path)
    say(took(`making ${name}`, begun))
    return path
  })
}
