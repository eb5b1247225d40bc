import { readdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import type { ExecutionContext } from 'ava'
import { run } from './cli.js'
import { temporary } from './temporary.js'

const samples = fileURLToPath(new URL('../../../testbed/vmm/samples/', import.meta.url))

/** A place for files, and ways to make them. */
export const filesOf = async (t: ExecutionContext) => {
  const file = await temporary(t)
  const write = async (name: string, bytes: Uint8Array | string) => {
    await writeFile(file(name), bytes)
    return file(name)
  }
  return {
    file,
    write,
    /** What a save of devices writes; its report is beside it, with `.json` behind its name. */
    saved: async (name: string, ...devices: string[]) => {
      const options = ['--to', file(name), '--report', `${file(name)}.json`, '--quiet', '--experimental-region']
      const { status, stderr } = await run('save', ...devices, ...options)
      t.is(status, 0, stderr)
      return file(name)
    },
    /** A file with one byte changed. */
    damaged: async (name: string, of: string, at: number) => {
      const bytes = await readFile(of)
      bytes[at] = (bytes[at] as number) ^ 0x40
      return write(name, bytes)
    },
    /** Files that QEMUs of all generations wrote. */
    ofQemu: async () => {
      const names = (await readdir(samples)).filter((name) => name.endsWith('.gz'))
      return Promise.all(
        names.map(async (name) => write(name.slice(0, -3), gunzipSync(await readFile(samples + name)))),
      )
    },
  }
}

/** A file as QEMU would write it, with very many parts: commands that say nothing. */
export const manyParts = (count: number): Buffer =>
  Buffer.concat([
    Buffer.from('5145564d00000003', 'hex'),
    Buffer.from('0800010000'.repeat(count), 'hex'),
    Buffer.from('00', 'hex'),
  ])
