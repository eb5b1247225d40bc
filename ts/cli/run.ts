import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { constants, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { usage, VfioError } from '../errors.ts'
import type { Arguments } from './arguments.ts'
import { status } from './exit.ts'
import { Output } from './output.ts'
import { preloadable } from './program.ts'

const file = 'libvfio_migration_preload.so'

/** Where the library lies in a checkout. */
const built = fileURLToPath(new URL(`../../native/${file}`, import.meta.url))

/** Where an installation has it: beside the addon, in the package of the platform. */
const installed = () => {
  try {
    return createRequire(import.meta.url).resolve(`vfio-migration-linux-${process.arch}-gnu/${file}`)
  } catch {
    return built
  }
}

const library = () => {
  const path = process.env.VFIO_MIGRATION_PRELOAD_LIBRARY ?? (existsSync(built) ? built : installed())
  if (existsSync(path)) return resolve(path)
  throw new VfioError('ERR_VFIO_PLATFORM', `the library to preload is not at ${path}`, {
    file: path,
    remedy: 'it is for Linux with glibc: install with optional dependencies; in a checkout run "npm run build"',
  })
}

/** How a program ends that the library cannot serve; it has said why (crates/preload/src/abi/voice.rs). */
const gaveUp = 113

/** Where a program finds one device; the library gives out the same names (crates/preload/src/places.rs). */
const placeOf = (folder: string, index: number) => ({
  device: join(folder, `0000:00:${(index + 1).toString(16).padStart(2, '0')}.0`),
  group: `/dev/vfio/${7000 + index}`,
  cdev: `/dev/vfio/devices/vfio${7000 + index}`,
})

type Places = readonly ReturnType<typeof placeOf>[]

/** The addresses of the devices, with the protocol where they do not say. */
const addressesOf = (values: Arguments['values']) => {
  const devices = values.get('device')?.split('\n') ?? []
  if (devices.length === 0) throw usage('run needs a device: --device model:size=1MiB')
  const protocol = values.get('protocol')
  return devices.map((address) => {
    if (!/^model:\S*$/.test(address)) {
      throw usage(`--device ${address}: only software devices can be preloaded`, { remedy: 'use model:SETTINGS' })
    }
    if (protocol === undefined || /[:,]protocol=/.test(address)) return address
    return `${address}${address === 'model:' ? '' : ','}protocol=${protocol}`
  })
}

/** Puts the places of the devices into the program's arguments; tells whether there were any. */
const filledIn = (words: readonly string[], places: Places) => {
  let any = false
  const filled = words.map((word) =>
    word.replaceAll(/\{(device|group|cdev)(\d+)\}/g, (name, kind: 'device' | 'group' | 'cdev', index: string) => {
      const place = places[Number(index)]
      if (place === undefined) throw usage(`${name}: there are ${places.length} devices, counted from 0`)
      any = true
      return place[kind]
    }),
  )
  return { filled, any }
}

/** Whether a terminal that is asked to interrupt tells the program as well: it tells its whole foreground group, ours. */
const isInForeground = () => {
  try {
    // Behind the name, which may hold anything: state, parent, group, session, terminal, its foreground group.
    const words = readFileSync('/proc/self/stat', 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')
    return words[2] === words[5]
  } catch {
    return false
  }
}

/** Runs it to its end; signals that ask us to end are its own affair. */
const ended = async (program: string, words: readonly string[], env: NodeJS.ProcessEnv) => {
  let child: ChildProcess | undefined
  const pass = (signal: NodeJS.Signals) => {
    if (signal !== 'SIGINT' || !isInForeground()) child?.kill(signal)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  // Before it is there: it may be asked to end as soon as it has said a word.
  for (const signal of signals) process.on(signal, pass)
  try {
    child = spawn(program, words, { stdio: 'inherit', env })
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    return code ?? 128 + (signal === null ? 0 : constants.signals[signal])
  } finally {
    for (const signal of signals) process.off(signal, pass)
  }
}

/** `run --device DEVICE -- PROGRAM ARGUMENT...` */
export const runProgram = async ({ operands, values }: Arguments): Promise<number> => {
  const addresses = addressesOf(values)
  const [name, ...words] = operands
  if (name === undefined) throw usage('run needs a program: run --device DEVICE -- PROGRAM')
  const output = new Output(values)
  const [program, preloaded] = [await preloadable(name), library()]
  const folder = await mkdtemp(join(tmpdir(), 'vfio-migration-'))
  try {
    const places = addresses.map((_, index) => placeOf(folder, index))
    const { filled, any } = filledIn(words, places)
    if (!any) {
      for (const { device, group, cdev } of places) output.note(`vfio-migration: ${device} in ${group}, ${cdev}`)
    }
    const trace = values.get('trace')
    if (trace !== undefined) await writeFile(trace, '')
    const code = await ended(program, filled, {
      ...process.env,
      LD_PRELOAD: [preloaded, process.env.LD_PRELOAD].filter(Boolean).join(':'),
      VFIO_MIGRATION_PRELOAD_DEVICES: addresses.join('\n'),
      VFIO_MIGRATION_PRELOAD_FOLDER: folder,
      ...(trace === undefined ? {} : { VFIO_MIGRATION_PRELOAD_TRACE: resolve(trace) }),
      ...(values.has('blind') ? { VFIO_MIGRATION_PRELOAD_BLIND: '1' } : {}),
    })
    if (code === gaveUp) return status.failed
    // The library makes the folder of each device when it is loaded.
    if (places.some(({ device }) => !existsSync(device))) {
      output.failure(
        new VfioError('ERR_VFIO_UNSUPPORTED', `${name} ended with ${code} without loading the library`, {
          remedy: 'it saw no software device: look whether it is static, or cleans its environment',
        }),
      )
      return status.unsupported
    }
    return code
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
