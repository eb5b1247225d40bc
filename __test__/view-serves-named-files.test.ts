// The server behind `vfio-migration view`: who gets what, and what it says of files that are not as they were.
import { readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { request as ask, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import ava, { type ExecutionContext } from 'ava'
import { lastJson, Run, run } from './support/cli.js'
import { pageBuilt } from './support/page-built.js'
import { temporary } from './support/temporary.js'

const test = pageBuilt ? ava : ava.skip

/** A server of some files that ends with the test. */
const viewing = async (t: ExecutionContext, files: readonly string[] = [], ...options: string[]) => {
  const running = new Run(['view', ...files, ...options])
  t.teardown(() => running.child.kill('SIGKILL'))
  await running.said(/http:\/\/\S+\//)
  const [address] = /http:\/\/\S+\//.exec(running.stdout) as unknown as [string]
  return { running, address }
}

/** An answer to a request as it is written here: fetch would mend the path, and sets Host itself. */
const get = (
  address: string,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; headers: Record<string, string | string[] | undefined>; body: Buffer; cut: boolean }> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(address)
    const sent = ask({ hostname, port, path, headers, method }, (response) => {
      const body: Buffer[] = []
      const over = (cut: boolean) => () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(body), cut })
      response.on('data', (piece: Buffer) => body.push(piece))
      response.on('end', over(false)).on('error', over(true))
    })
    sent.on('error', reject)
    sent.end()
  })

test('prints an address on loopback with a token, serves the page there, and ends on Ctrl-C with status 0', async (t) => {
  const { running, address } = await viewing(t)
  t.regex(address, /^http:\/\/127\.0\.0\.1:\d+\/[\w-]{32}\/$/)
  const path = new URL(address).pathname
  const page = await get(address, path)
  t.is(page.status, 200)
  t.regex(page.body.toString(), /^<!doctype html>/)
  t.like(page.headers, {
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
  })
  t.regex(
    page.headers['content-security-policy'] as string,
    /^default-src 'none'; script-src 'self' 'wasm-unsafe-eval';/,
  )
  for (const [, part] of page.body.toString().matchAll(/(?:src|href)="\.\/([^"]+)"/g)) {
    t.is((await get(address, path + part)).status, 200, part)
  }
  t.is((await get(address, path.slice(0, -1))).headers.location, path)
  running.child.kill('SIGINT')
  t.like(await running.ended, { status: 0, signal: null })
})

for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
  test(`ends on ${signal} with status 0, whoever is connected`, async (t) => {
    const file = (await temporary(t))('large')
    await writeFile(file, '')
    await truncate(file, 1 << 30)
    const { running, address } = await viewing(t, [file])
    // A reader that takes nothing.
    const response = await fetch(`${address}files/0`)
    t.is(response.status, 200)
    running.child.kill(signal)
    t.like(await running.ended, { status: 0, signal: null })
    await response.body?.cancel().catch(() => {})
  })
}

test('whoever does not know the token gets nothing', async (t) => {
  const { address } = await viewing(t)
  const token = new URL(address).pathname.slice(1, -1)
  const wrong = [...token].reverse().join('')
  for (const path of [
    '/',
    '/files.json',
    '/files/0',
    `/${wrong}/`,
    `/${token}x/`,
    `/${token.slice(1)}/`,
    '//',
    '/%00/',
  ]) {
    const { status, body } = await get(address, path)
    t.is(status, 403, path)
    t.false(body.toString().includes(token))
  }
  t.is((await viewing(t)).address === address, false)
})

test('a site whose name leads to this machine gets nothing (DNS rebinding)', async (t) => {
  const { address } = await viewing(t)
  const { pathname, port } = new URL(address)
  for (const host of ['attacker.example', `attacker.example:${port}`, '127.0.0.1', `127.0.0.1:${Number(port) + 1}`]) {
    t.is((await get(address, pathname, { Host: host })).status, 421, host)
  }
  t.is((await get(address, pathname, { Host: `localhost:${port}` })).status, 200)
})

test('only the page and the named files can be read, and only read', async (t) => {
  const file = await temporary(t)
  await writeFile(file('named'), 'named')
  await writeFile(file('secret'), 'secret')
  const { address } = await viewing(t, [file('named')])
  const { pathname } = new URL(address)
  t.is((await get(address, `${pathname}files/0`)).body.toString(), 'named')
  for (const path of [
    'files/1',
    'files/-1',
    'files/0/../../secret',
    'files/../secret',
    '../secret',
    `..%2f..%2f${file('secret')}`,
    file('secret'),
    'files/00000000000000000000',
    'index.js',
    'assets/',
    'constructor',
  ]) {
    t.is((await get(address, pathname + path)).status, 404, path)
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    t.is((await get(address, `${pathname}files/0`, {}, method)).status, 405, method)
  }
  t.is((await get(address, `${pathname}files/0`, {}, 'HEAD')).headers['content-length'], '5')
})

test('ranges of a file', async (t) => {
  const file = (await temporary(t))('file')
  const whole = Buffer.from(Array.from({ length: 1000 }, (_, place) => place % 251))
  await writeFile(file, whole)
  const { address } = await viewing(t, [file])
  const path = `${new URL(address).pathname}files/0`
  for (const [range, start, end] of [
    ['bytes=0-0', 0, 1],
    ['bytes=10-19', 10, 20],
    ['bytes=990-', 990, 1000],
    ['bytes=990-5000', 990, 1000],
    ['bytes=-7', 993, 1000],
    ['bytes=-5000', 0, 1000],
  ] as const) {
    const { status, headers, body } = await get(address, path, { Range: range })
    t.is(status, 206, range)
    t.is(headers['content-range'], `bytes ${start}-${end - 1}/1000`)
    t.deepEqual(body, whole.subarray(start, end))
  }
  // What is no range, or several, is answered with all of it.
  for (const range of ['bytes=', 'bytes=-', 'bytes=9-8', 'bytes=0-1,4-5', 'lines=0-1', `bytes=${'9'.repeat(40)}-`]) {
    const { status, body } = await get(address, path, { Range: range })
    t.is(status, 200, range)
    t.is(body.length, 1000)
  }
  for (const range of ['bytes=1000-', 'bytes=5000-6000', 'bytes=-0']) {
    const { status, headers } = await get(address, path, { Range: range })
    t.is(status, 416, range)
    t.is(headers['content-range'], 'bytes */1000')
  }
  await writeFile(file, '')
  const empty = await get(address, path)
  t.deepEqual([empty.status, empty.body.length], [200, 0])
})

test('a file that is changed, replaced or gone is told from the one that was looked at', async (t) => {
  const file = await temporary(t)
  await writeFile(file('a'), 'as it was')
  const { address } = await viewing(t, [file('a')])
  const path = new URL(address).pathname
  const states = async () => JSON.parse((await get(address, `${path}files.json`)).body.toString()) as { tag: string }[]
  const [before] = await states()
  t.like(before, { name: 'a', size: 9 })
  const tag = before?.tag as string
  t.is((await get(address, `${path}files/0`, { 'If-Match': tag })).status, 200)
  await writeFile(file('b'), 'other one')
  await rename(file('b'), file('a'))
  t.is((await get(address, `${path}files/0`, { 'If-Match': tag })).status, 412)
  await rm(file('a'))
  t.is((await get(address, `${path}files/0`, { 'If-Match': tag })).status, 410)
  t.deepEqual((await states()) as unknown[], [{ name: 'a', problem: 'there is no such file' }])
})

test('a file that shrinks while it is read breaks the connection: its reader does not take it for whole', async (t) => {
  const file = (await temporary(t))('shrinks')
  await writeFile(file, '')
  await truncate(file, 512 << 20)
  const { address } = await viewing(t, [file])
  const reader = (await fetch(`${address}files/0`)).body?.getReader() as ReadableStreamDefaultReader<Uint8Array>
  await reader.read()
  // The server waits until somebody takes what it has read.
  await truncate(file, 1 << 20)
  await t.throwsAsync(async () => {
    while (!(await reader.read()).done);
  })
  const after = await get(address, `${new URL(address).pathname}files/0`)
  t.is(after.body.length, 1 << 20)
})

test('--port is the port, and one that is in use is said', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  const { port } = taken.address() as AddressInfo
  const { status, stdout, stderr } = await run('view', '--port', `${port}`)
  t.is(status, 1)
  t.is(stdout, '')
  t.regex(stderr, new RegExp(`^vfio-migration: ERR_VFIO_TRANSPORT: .* port ${port}: it is in use \\(.*--port.*\\)\n$`))
  await new Promise((resolve) => taken.close(resolve))
  const { address } = await viewing(t, [], '--port', `${port}`)
  t.is(new URL(address).port, `${port}`)
})

test('--json prints one object with the address', async (t) => {
  const { running, address } = await viewing(t, [], '--json')
  running.child.kill('SIGINT')
  const ran = await running.ended
  t.is(ran.stdout.trim().split('\n').length, 1)
  t.deepEqual(lastJson(ran), { ok: true, address })
})

test('--help has one line for each option', async (t) => {
  const { status, stdout } = await run('view', '--help')
  t.is(status, 0)
  const lines = stdout.split('\n').filter((line) => line.startsWith('  --'))
  t.deepEqual(
    lines.map((line) => /^ {2}--([a-z0-9-]+)/.exec(line)?.[1]),
    ['port', 'json', 'help'],
  )
})

test('files that cannot be looked at are said before anything is served', async (t) => {
  const file = await temporary(t)
  await writeFile(file('sound'), 'sound')
  for (const [args, code, says] of [
    [[file('absent')], 1, "absent' cannot be read: there is no such file"],
    [[file('sound'), file('absent')], 1, 'there is no such file'],
    [[file('.')], 1, 'it is a directory'],
    [['/dev/null'], 1, 'it is no file that can be read twice'],
    [['-'], 2, 'standard input does not'],
    [['--port', '65536'], 2, '--port 65536: not a whole number'],
    [['--port', 'x'], 2, 'not a whole number'],
  ] as const) {
    const { status, stdout, stderr } = await run('view', ...args)
    t.is(status, code, stderr)
    t.is(stdout, '')
    t.true(stderr.includes(says), stderr)
  }
  t.true((await readFile(file('sound'), 'utf8')) === 'sound')
})
