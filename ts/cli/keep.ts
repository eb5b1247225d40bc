import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Device, Offer } from '../device.ts'
import { usage, VfioError } from '../errors.ts'
import type { Summary } from '../session/report.ts'
import type { Arguments } from './arguments.ts'
import { status } from './exit.ts'
import type { Output } from './output.ts'

/** What becomes of restored devices: a PCI function is empty again once the last descriptor of it is closed. */
export interface Keeping {
  /** Refuses what cannot be handed over, before anything is restored. */
  check(devices: readonly Device[]): void
  /** Hands them over, and holds them; the status that the program ends with. */
  keep(summary: Summary, output: Output): Promise<number>
}

/** Reads `--exec CMD` and `--hold`. */
export const keepingOf = ({ values }: Arguments, from: string): Keeping => {
  const command = values.get('exec')
  const hold = values.has('hold')
  if (hold && from === '-') throw usage('--hold waits for standard input, which is the stream: use --from PATH')
  if (command === '') throw usage('--exec needs a command')
  return {
    check(devices) {
      if (command === undefined) return
      const without = devices.find((device) => device.holding === undefined)
      if (without) {
        throw new VfioError(
          'ERR_VFIO_UNSUPPORTED',
          `${without.address} has no descriptors that --exec could hand over`,
          {
            remedy: 'use --exec with devices of the kernel',
          },
        )
      }
      const name = devices.map((device) => device.id ?? '').find((id) => !/^[\w.-]*$/.test(id) || /^\.+$/.test(id))
      if (name !== undefined) throw usage(`--exec: '${name}' cannot be the name of a socket: use letters and digits`)
    },
    async keep(summary, output) {
      const ended = command === undefined ? status.done : await handOver(summary, command, output)
      if (hold) await untilToldSo(output)
      return ended
    },
  }
}

/** Runs a command that can take each device from a socket of its own. */
const handOver = async ({ devices }: Summary, command: string, output: Output): Promise<number> => {
  // For this user only, as mkdtemp makes it.
  const folder = await mkdtemp(join(tmpdir(), 'vfio-migration-'))
  const offers: Offer[] = []
  try {
    for (const { id, device } of devices) if (device) offers.push(device.offer(join(folder, id)))
    const env = { ...process.env, VFIO_MIGRATION_SOCKETS: folder }
    const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'inherit', 'inherit'], env })
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    if (code === 0) return status.done
    output.note(`vfio-migration: the command of --exec ended with ${signal ?? code}`)
    return status.failed
  } finally {
    for (const offer of offers) offer.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Waits until standard input is closed, or somebody wants the program to end. */
const untilToldSo = async (output: Output) => {
  output.note('vfio-migration: the devices are held until standard input is closed')
  await new Promise<void>((resolve) => {
    const over = () => resolve()
    process.once('SIGINT', over).once('SIGTERM', over)
    process.stdin.once('end', over).once('error', over).once('close', over).resume()
  })
  process.stdin.destroy()
}
