import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs a program in which `crowded` does something while the host has no room for another thread. */
const program = async (text: string) => {
  const script = `
    import { execFileSync } from 'node:child_process'
    import { readFileSync } from 'node:fs'
    const limit = (bytes) => execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + bytes + ':unlimited'])
    const crowded = async (act) => {
      const used = Number(/VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
      limit(used + (1 << 20))
      try { return await act() } finally { limit('unlimited') }
    }
    ${text}`
  // Or a thread takes over the stack of one that has ended.
  const env = { ...process.env, GLIBC_TUNABLES: 'glibc.pthread.stack_cache_size=0' }
  const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: root, env })
  // The C library, or Node, may be the one that finds no room then: they end the process.
  const again = (error: { stderr?: string }) => {
    if (!/cannot allocate memory for thread-local data|std::bad_alloc/.test(error.stderr ?? '')) throw error
    return run()
  }
  const { stdout } = await run().catch(again).catch(again).catch(again).catch(again)
  return stdout.trim().split('\n')
}

test('a log of dirty pages that gets no thread leaves the trackers to the device', async (t) => {
  const lines = await program(`
    import { trackDirty } from 'vfio-migration'
    import { GuestMemory, openModel } from 'vfio-migration/model'
    const memory = new GuestMemory({ length: 1n << 20n })
    const { device } = await openModel('model:size=64KiB,dirty-tracking', { memory })
    const track = () => trackDirty(device, { ranges: [memory] })
    // Node's own threads may give memory back meanwhile, so that there is room for one thread after all.
    let refused
    for (let attempt = 0; attempt < 20 && !refused; attempt += 1) {
      const got = (log) => log.close()
      await crowded(() => track().then(got, (error) => { refused = error }))
    }
    console.log(refused?.code, refused?.message)
    console.log((await track()).pageSize)
    await device.close()`)
  t.regex(lines[0] as string, /^ERR_VFIO_HOST cannot start a thread/)
  t.is(lines[1], '4096')
})
