// A host that refuses threads. A preloaded library does it when it is told so: to take the memory away instead would now
// and then end Node or the C library, which need some of it for themselves.
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { temporary } from './support/temporary.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Lets as many threads start as the environment says, and refuses the next. */
const refusing = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    const char *room = getenv("ROOM_FOR_THREADS");
    if (room) {
        char left[16];
        if (atoi(room) == 0) return EAGAIN;
        snprintf(left, sizeof(left), "%d", atoi(room) - 1);
        setenv("ROOM_FOR_THREADS", left, 1);
    }
    return ((create *)dlsym(RTLD_NEXT, "pthread_create"))(thread, attributes, start, argument);
}
`

/** Runs a program in which `crowded` does something while there is room for some threads, and gives what it says. */
const program = async (t: ExecutionContext, text: string): Promise<unknown> => {
  const path = await temporary(t)
  await writeFile(path('refusing.c'), refusing)
  await promisify(execFile)('cc', ['-shared', '-fPIC', '-o', path('refusing.so'), path('refusing.c'), '-ldl'])
  const script = `
    const crowded = async (room, act) => {
      process.env.ROOM_FOR_THREADS = String(room)
      try { return await act() } finally { delete process.env.ROOM_FOR_THREADS }
    }
    ${text}`
  const env = { ...process.env, LD_PRELOAD: path('refusing.so') }
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: root, env })
  return JSON.parse((await run).stdout)
}

test('a log of dirty pages that gets no thread leaves the trackers to the device', async (t) => {
  const said = await program(
    t,
    `
    import { trackDirty } from 'vfio-migration'
    import { GuestMemory, openModel } from 'vfio-migration/model'
    const memory = new GuestMemory({ length: 1n << 20n })
    const { device } = await openModel('model:size=64KiB,dirty-tracking', { memory })
    const track = () => trackDirty(device, { ranges: [memory] })
    const { code, message } = await crowded(0, () => track().catch((error) => error))
    const { pageSize } = await track()
    console.log(JSON.stringify({ code, starts: message.startsWith('cannot start a thread'), pageSize }))
    await device.close()`,
  )
  t.deepEqual(said, { code: 'ERR_VFIO_HOST', starts: true, pageSize: 4096 })
})

test('whichever thread is refused: nothing is opened, and a session gives its device and trackers back', async (t) => {
  const path = await temporary(t)
  const said = (await program(
    t,
    `
    import { openDevice, restore, save, trackDirty } from 'vfio-migration'
    import { GuestMemory, openModel } from 'vfio-migration/model'
    const refusals = {}
    // With room for more threads until it is enough; each several times, since a device can be lost by a race.
    const insist = async (what, act, back = () => {}) => {
      for (let attempt = 0; ; attempt += 1) {
        const room = Math.floor(attempt / 10)
        try { return await crowded(room, act) } catch (error) {
          if (error.code !== 'ERR_VFIO_HOST' || !/ thread/.test(error.message)) throw error
          await back(error.details.summary)
          refusals[what] = room + 1
        }
      }
    }
    const settings = 'model:size=64KiB,pre-copy,dirty-tracking'
    await (await insist('open', () => openDevice(settings))).close()

    const memory = new GuestMemory({ length: 1n << 20n })
    const through = async (what, start) => {
      let { device } = await openModel(settings, { memory })
      const summary = await insist(what, () => start(device), async ({ devices }) => {
        device = devices[0].device
        await (await trackDirty(device, { ranges: [memory] })).close()
      })
      await summary.devices[0].device.close()
      return summary.outcome
    }
    const file = ${JSON.stringify(path('file'))}
    const saved = await through('save', async (device) => (await save(device, { memory })).sendTo(file))
    const restored = await through('restore', async (device) => (await restore(device, { memory })).receiveFrom(file))
    console.log(JSON.stringify({ saved, restored, refusals }))`,
  )) as { refusals: Record<string, number> }
  t.like(said, { saved: 'completed', restored: 'completed' })
  // A thread for the call itself, at least one for what it starts.
  t.deepEqual(Object.keys(said.refusals), ['open', 'save', 'restore'])
  for (const count of Object.values(said.refusals)) t.true(count > 1, JSON.stringify(said))
})
