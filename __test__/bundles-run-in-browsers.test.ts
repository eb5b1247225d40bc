// The package in a page of somebody else, as a bundler builds it: the same facade, on the main thread of a browser.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { ExecutionContext } from 'ava'
import { browserTest, complaints, newPage } from './support/chromium.js'
import { temporary } from './support/temporary.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs on the page, and leaves there what came of it. */
const script = `
  import { diagnostics, foldTrace, inspect, openDevice, restore, save, targets } from 'vfio-migration'
  const told = async (call) => {
    try { return await call() } catch ({ code, message, details }) { return { code, message, remedy: details?.remedy } }
  }
  const move = async () => {
    const [from, to] = [await openDevice('model:size=1MiB,p2p,pre-copy'), await openDevice('model:size=1MiB,p2p,pre-copy')]
    const [saving, restoring] = [await save(from), await restore(to)]
    const [there, back] = [new TransformStream(), new TransformStream()]
    const [sent, got] = await Promise.all([
      saving.sendTo({ writable: there.writable, readable: back.readable }),
      restoring.receiveFrom({ writable: back.writable, readable: there.readable }),
    ])
    await Promise.all([...sent.devices, ...got.devices].map(({ device }) => device.close()))
    return [sent.outcome, got.outcome]
  }
  const file = async () => {
    const device = await openDevice('model:size=300KiB')
    const chunks = []
    for await (const chunk of await save(device, { then: 'resume' })) chunks.push(chunk.slice())
    const { format, objects, damage } = await inspect(new Blob(chunks)).outline()
    return { format, complete: objects[0].complete, damaged: damage !== undefined }
  }
  const found = {
    states: Object.keys(targets).length,
    form: await told(() => diagnostics().form),
    file: await told(file),
    path: await told(() => inspect('/etc/passwd').outline()),
    device: await told(() => openDevice('vfio:0000:65:00.1')),
    trace: await told(() => foldTrace('0 pre-copy read 65536B -> ENOMSG\\n'.repeat(3))),
    moved: await told(async () => (await Promise.all(Array.from({ length: 4 }, move))).flat()),
    living: await told(() => diagnostics().living),
  }
  globalThis.found = found
`

const types: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }

/** Builds a page with the package, serves it with some headers, and gives what the page says in the end. */
const page = async (t: ExecutionContext, headers: Record<string, string>) => {
  const place = await temporary(t)
  await mkdir(place('node_modules'))
  await symlink(root, place('node_modules/vfio-migration'), 'dir')
  await writeFile(place('package.json'), '{"type":"module"}')
  await writeFile(place('index.html'), '<link rel="icon" href="data:,"><script type="module" src="main.js"></script>')
  await writeFile(place('main.js'), script)
  await promisify(execFile)('npx', ['--no-install', 'vite', 'build', place('.'), '--logLevel', 'error'], { cwd: root })
  const server = createServer(async ({ url = '/' }, response) => {
    const name = url === '/' ? '/index.html' : url
    response.writeHead(200, { 'Content-Type': types[extname(name)] ?? 'text/plain', ...headers })
    response.end(await readFile(place(`dist${name}`)))
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const shown = await newPage(t)
  const said = complaints(shown)
  await shown.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  await shown.waitForFunction('globalThis.found')
  t.deepEqual(said, [])
  return (await shown.evaluate('found')) as Record<string, Record<string, unknown>>
}

browserTest('what works on WASM works in a page, sessions at once as well', async (t) => {
  const found = await page(t, {
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
  })
  const { path, device, ...rest } = found as Record<string, Record<string, string>>
  t.deepEqual(rest as object, {
    states: 8,
    form: 'wasm',
    file: { format: 'stream', complete: true, damaged: false },
    trace: '0 pre-copy     read 65536B -> ENOMSG x3\n',
    moved: Array.from({ length: 8 }, () => 'completed'),
    living: 0,
  })
  t.like(path, { code: 'ERR_VFIO_PLATFORM', remedy: 'hand over a File, a Blob or a stream' })
  t.is(device?.code, 'ERR_VFIO_PLATFORM')
})

browserTest('a page without shared memory is told which headers it needs, at first use', async (t) => {
  const { states, form = {} } = await page(t, {})
  t.is(states as unknown, 8)
  t.is(form.code, 'ERR_VFIO_PLATFORM')
  for (const header of ['Cross-Origin-Opener-Policy: same-origin', 'Cross-Origin-Embedder-Policy: require-corp'])
    t.true(String(form.remedy).includes(header))
})
