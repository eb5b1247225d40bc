import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs a program that uses the package; ava's own watchdog is the only clock. */
const program = async (text: string) => {
  const child = promisify(execFile)(process.execPath, ['--input-type=module', '-e', text], { cwd: root })
  try {
    return { status: 0, ...(await child) }
  } catch (error) {
    const { code, signal, stdout, stderr } = error as {
      code: number | null
      signal: string | null
      stdout: string
      stderr: string
    }
    return { status: code ?? signal, stdout, stderr }
  }
}

test('100 sessions, cancelled at seeded points and closed, leave no descriptor, no thread, and no process', async (t) => {
  const { status, stdout, stderr } = await program(`
    import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
    import { diagnostics, openDevice, restore, save } from 'vfio-migration'
    const folder = mkdtempSync('/tmp/vfio-migration-test-')
    let seed = 1
    const random = (below) => { seed = (seed * 48271) % 2147483647; return seed % below }
    const ours = () => readdirSync('/proc/self/task').filter((task) => {
      try { return /^(vfio-|model)/.test(readFileSync('/proc/self/task/' + task + '/comm', 'utf8')) } catch { return false }
    }).length
    const one = async (round) => {
      const settings = 'model:size=8MiB,p2p,pre-copy'
      const source = await openDevice(settings), destination = await openDevice(settings)
      const saving = await save(source, { rate: 64 << 20 }), restoring = await restore(destination)
      const place = { unix: folder + '/' + round }
      const cancelled = random(2) ? saving : restoring
      if (random(10) > 0) restoring.receiveFrom(place).catch(() => {})
      if (random(10) > 0) saving.sendTo(place).catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, random(60)))
      try { cancelled.cancel('point ' + round) } catch {}
      await Promise.all([saving.close(), restoring.close()])
      await Promise.all([source.close(), destination.close()])
    }
    await one(0)
    const before = readdirSync('/proc/self/fd').length
    for (let round = 1; round <= 100; round += 1) await one(round)
    rmSync(folder, { recursive: true })
    let threads = ours()
    for (let waited = 0; threads > 0 && waited < 6000; waited += 1) { await new Promise((resolve) => setTimeout(resolve, 10)); threads = ours() }
    console.log(JSON.stringify({ descriptors: readdirSync('/proc/self/fd').length - before, threads, living: diagnostics().living }))
  `)
  t.is(status, 0, stderr)
  const { descriptors, ...left } = JSON.parse(stdout) as { descriptors: number }
  // Node closes some of its own meanwhile.
  t.true(descriptors <= 0, stdout)
  t.deepEqual(left as object, { threads: 0, living: 0 })
})

const session = `
  import { mkdtempSync } from 'node:fs'
  import { openDevice, restore, save } from 'vfio-migration'
  const place = { unix: mkdtempSync('/tmp/vfio-migration-test-') + '/s' }
  const settings = 'model:size=64MiB,p2p,pre-copy'
  const saving = await save(await openDevice(settings), { rate: 8 << 20 })
  const restoring = await restore(await openDevice(settings))
  restoring.receiveFrom(place).catch(() => {})
  saving.sendTo(place).catch(() => {})
  for await (const event of saving.events()) if (event.type === 'progress') break
`

test('an exit in the middle of a session neither hangs nor crashes', async (t) => {
  const { status, stderr } = await program(`${session}; process.exit(7)`)
  t.is(status, 7, stderr)
})

test('an exception in the middle of a session ends the process', async (t) => {
  const { status, stderr } = await program(`${session}; throw new Error('mine')`)
  t.is(status, 1)
  t.regex(stderr, /mine/)
})

test('a program that only opened a device ends by itself', async (t) => {
  const { status, stderr } = await program(`
    import { openDevice } from 'vfio-migration'
    const device = await openDevice('model:size=1MiB')
    await device.to('stop')
  `)
  t.is(status, 0, stderr)
})

test('a worker and the main thread use the package at once', async (t) => {
  const { status, stdout, stderr } = await program(`
    import { Worker } from 'node:worker_threads'
    const body = \`
      import { mkdtempSync } from 'node:fs'
      import { openDevice, restore, save } from 'vfio-migration'
      for (let round = 0; round < 3; round += 1) {
        const place = { unix: mkdtempSync('/tmp/vfio-migration-test-') + '/s' }
        const settings = 'model:size=8MiB,p2p,pre-copy'
        const saving = await save(await openDevice(settings)), restoring = await restore(await openDevice(settings))
        const [out] = await Promise.all([saving.sendTo(place), restoring.receiveFrom(place)])
        console.log(out.outcome)
        for (const { device } of out.devices) await device.close()
      }
    \`
    const url = (text) => new URL('data:text/javascript,' + encodeURIComponent(text.replaceAll("'vfio-migration'", JSON.stringify(import.meta.resolve('vfio-migration')))))
    const worker = new Worker(url(body))
    await Promise.all([import(url(body).href), new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject))])
  `)
  t.is(status, 0, stderr)
  t.deepEqual(
    stdout.trim().split('\n'),
    Array.from({ length: 6 }, () => 'completed'),
  )
})

test('a worker that is terminated in the middle of a session takes nothing else with it', async (t) => {
  const { status, stdout, stderr } = await program(`
    import { Worker } from 'node:worker_threads'
    import { openDevice } from 'vfio-migration'
    const text = ${JSON.stringify(session)} + ';import("node:worker_threads").then(({ parentPort }) => parentPort.postMessage("in the middle")); setInterval(() => {}, 1000)'
    const url = new URL('data:text/javascript,' + encodeURIComponent(text.replaceAll("'vfio-migration'", JSON.stringify(import.meta.resolve('vfio-migration')))))
    const worker = new Worker(url)
    await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject))
    await worker.terminate()
    const device = await openDevice('model:size=1MiB')
    console.log((await device.to('stop')).state)
    await device.close()
  `)
  t.is(status, 0, stderr)
  t.is(stdout, 'stop\n')
})
