// One test an option: what it is for happens, or what is wrong with it is said.
import { execFile } from 'node:child_process'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { lastJson, main, Run, run } from './support/cli.js'
import { temporary } from './support/temporary.js'

const device = 'gpu0=model:size=4MiB,pre-copy,p2p'

/** Both ends, each with options of its own, over a unix socket. */
const both = async (
  t: ExecutionContext,
  saveOptions: string[] = [],
  restoreOptions: string[] = [],
  devices = [device],
) => {
  const socket = (await temporary(t))('s')
  const restoring = new Run(['restore', ...devices, '--from', `unix:${socket}`, '--json=events', ...restoreOptions])
  t.teardown(() => restoring.child.kill('SIGKILL'))
  await restoring.said('"listening"')
  const saving = new Run(['save', ...devices, '--to', `unix:${socket}`, '--json=events', ...saveOptions])
  t.teardown(() => saving.child.kill('SIGKILL'))
  const [out, into] = await Promise.all([saving.ended, restoring.ended])
  return { out, into, saved: lastJson(out), restored: lastJson(into), stat: () => stat(socket) }
}

const commands: Record<string, string[]> = {
  save: [
    'to',
    'force',
    'fresh',
    'then',
    'dry-run',
    'rate',
    'max-pre-copy',
    'downtime',
    'no-pre-copy',
    'no-events',
    'experimental-region',
    'dialect',
    'report',
    'html',
    'timeout',
    'insecure',
    'no-p2p-traffic',
    'json',
    'quiet',
    'help',
  ],
  restore: [
    'from',
    'then',
    'hold',
    'exec',
    'split-segments',
    'force',
    'experimental-region',
    'dialect',
    'report',
    'html',
    'timeout',
    'insecure',
    'no-p2p-traffic',
    'json',
    'quiet',
    'help',
  ],
  list: ['root', 'json', 'help'],
  probe: ['experimental-region', 'dialect', 'json', 'help'],
  doctor: ['root', 'json', 'help'],
  trace: ['device', 'only', 'without', 'json', 'help'],
  run: ['device', 'protocol', 'trace', 'blind', 'quiet', 'help'],
  simulate: ['moments', 'html', 'force', 'json', 'quiet', 'help'],
  demo: ['size', 'devices', 'seed', 'no-pre-copy', 'in-process', 'break', 'html', 'force', 'json', 'quiet', 'help'],
}

for (const [name, options] of Object.entries(commands)) {
  test(`${name} --help has one line for each option`, async (t) => {
    const { status, stdout, stderr } = await run(name, '--help')
    t.is(status, 0)
    t.is(stderr, '')
    const lines = stdout.split('\n').filter((line) => line.startsWith('  --'))
    t.deepEqual(
      lines.map((line) => /^ {2}--([a-z0-9-]+)/.exec(line)?.[1]),
      options,
    )
    for (const line of lines) t.true(line.length <= 120, line)
  })
}

test('--help and --version of the program', async (t) => {
  const { status, stdout } = await run('--help')
  t.is(status, 0)
  for (const word of ['save', 'restore', 'list', 'probe', 'doctor', 'demo', '--version', 'Exit status'])
    t.true(stdout.includes(word), word)
  const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  t.is((await run('--version')).stdout, `${version}\n`)
})

test('--to and --from: a socket for its owner only, and both ends say that all is done', async (t) => {
  const { out, into, saved, restored } = await both(t)
  t.is(out.status, 0, out.stderr)
  t.is(into.status, 0, into.stderr)
  t.like(saved, { ok: true, side: 'save', outcome: 'completed' })
  t.like(restored, { ok: true, side: 'restore', outcome: 'completed' })
})

test('--from unix: the socket is 0600 while it listens', async (t) => {
  const socket = (await temporary(t))('s')
  const restoring = new Run(['restore', device, '--from', `unix:${socket}`])
  await restoring.said('listening')
  t.is((await stat(socket)).mode & 0o777, 0o600)
  restoring.child.kill('SIGTERM')
  t.is((await restoring.ended).status, 130)
})

test('--from tcp:HOST:0 prints its port', async (t) => {
  const restoring = new Run(['restore', device, '--from', 'tcp:localhost:0'])
  const [, address] = /listening at (tcp:\S+:\d+)/.exec(await restoring.said('listening')) as unknown as [
    string,
    string,
  ]
  t.notRegex(address, /:0$/)
  const out = await run('save', device, '--to', address)
  t.is(out.status, 0, out.stderr)
  t.is((await restoring.ended).status, 0)
})

test('--to fd:N and --from fd:N', async (t) => {
  const path = (await temporary(t))('state')
  await writeFile(path, '')
  const { openSync, closeSync } = await import('node:fs')
  const descriptor = openSync(path, 'r+')
  const out = await new Run(['save', device, '--to', 'fd:3'], { stdio: [0, 'pipe', 'pipe', descriptor] as never }).ended
  closeSync(descriptor)
  t.is(out.status, 0, out.stderr)
  const again = openSync(path, 'r')
  const into = await new Run(['restore', device, '--from', 'fd:3'], { stdio: ['ignore', 'pipe', 'pipe', again] }).ended
  closeSync(again)
  t.is(into.status, 0, into.stderr)
})

test('--to - and --from -: a pipe carries the data, and nothing else', async (t) => {
  const report = (await temporary(t))('out')
  const command = `"$0" "$1" save ${device} --to - --json 2>${report} | "$0" "$1" restore ${device} --from - --json`
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', command, process.execPath, main])
  t.like(lastJson({ stdout }), { ok: true, side: 'restore', outcome: 'completed' })
  // With --to - the object goes to standard error.
  t.like(JSON.parse(await readFile(report, 'utf8')), { ok: true, side: 'save', outcome: 'completed' })
})

test('--fresh: a software device is taken with it as without', async (t) => {
  const path = (await temporary(t))('state')
  t.is((await run('save', device, '--to', path, '--fresh')).status, 0)
})

test('--hold keeps the devices until standard input is closed', async (t) => {
  const path = (await temporary(t))('state')
  t.is((await run('save', device, '--to', path)).status, 0)
  const holding = new Run(['restore', device, '--from', path, '--hold', '--json'], { stdin: 'pipe' })
  t.teardown(() => holding.child.kill('SIGKILL'))
  await holding.said('held until standard input is closed')
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.is(holding.child.exitCode, null)
  holding.child.stdin?.end()
  const { status, stdout } = await holding.ended
  t.is(status, 0)
  t.like(lastJson({ stdout }), { ok: true, outcome: 'completed' })
  const refused = await run('restore', device, '--from', '-', '--hold')
  t.is(refused.status, 2)
  t.regex(refused.stderr, /use --from PATH/)
})

test('--exec hands devices of the kernel over, and refuses others before it restores', async (t) => {
  const path = (await temporary(t))('state')
  t.is((await run('save', device, '--to', path)).status, 0)
  const { status, stderr, stdout } = await run('restore', device, '--from', path, '--exec', 'echo ran')
  t.is(status, 3)
  t.regex(stderr, /ERR_VFIO_UNSUPPORTED: .*no descriptors/)
  t.is(stdout, '')
})

test('--force replaces a file that exists', async (t) => {
  const path = (await temporary(t))('state')
  await writeFile(path, 'mine')
  const refused = await run('save', device, '--to', path)
  t.is(refused.status, 1)
  t.regex(refused.stderr, /ERR_VFIO_EXISTS/)
  t.is(await readFile(path, 'utf8'), 'mine')
  t.is((await run('save', device, '--to', path, '--force')).status, 0)
  t.true((await stat(path)).size > 4 << 20)
})

test('save --then: stop is the default, resume is a snapshot; restore --then decides over the default', async (t) => {
  const file = await temporary(t)
  const state = (out: { stdout: string }) => (lastJson(out).devices as { state: string }[])[0]?.state
  t.is(state(await run('save', device, '--to', file('gone'), '--json')), 'stop')
  t.is(state(await run('save', device, '--to', file('snapshot'), '--then', 'resume', '--json')), 'running')
  t.is(state(await run('restore', device, '--from', file('gone'), '--json')), 'running')
  t.is(state(await run('restore', device, '--from', file('gone'), '--then', 'stop', '--json')), 'stop')
  t.is(state(await run('restore', device, '--from', file('snapshot'), '--json')), 'stop')
  t.is(state(await run('restore', device, '--from', file('snapshot'), '--then', 'run', '--json')), 'running')
})

test('--dry-run ends after the passports: nothing was changed', async (t) => {
  const { out, into, saved } = await both(t, ['--dry-run'])
  t.is(out.status, 0, out.stderr)
  const states = (text: string) =>
    text
      .split('\n')
      .flatMap((line) => (line.includes('"type":"state"') ? [(JSON.parse(line) as { to: string }).to] : []))
  t.deepEqual(states(out.stdout), ['running'])
  t.deepEqual(states(into.stdout), ['running'])
  t.is(saved.bytes, 0)
})

test('--rate is kept', async (t) => {
  const { out, saved } = await both(t, ['--rate', '8MiB'])
  t.is(out.status, 0, out.stderr)
  t.true((saved.rate as number) < 12 << 20, String(saved.rate))
})

test('--max-pre-copy ends a pre-copy that does not converge', async (t) => {
  const { out, saved } = await both(t, ['--max-pre-copy', '100ms', '--downtime', '0ms', '--rate', '16MiB'])
  t.is(out.status, 0, out.stderr)
  t.is(saved.preCopyEnd, 'max-pre-copy')
})

test('--downtime is the budget for the switchover', async (t) => {
  const { out, saved } = await both(t, ['--downtime', '10s', '--max-pre-copy', '1min'])
  t.is(out.status, 0, out.stderr)
  t.is(saved.preCopyEnd, 'converged')
})

test('--no-pre-copy switches over at once', async (t) => {
  const { out } = await both(t, ['--no-pre-copy'])
  t.is(out.status, 0, out.stderr)
  t.false(out.stdout.includes('"to":"pre-copy"'))
})

test('--no-events leaves events and the report out of the stream', async (t) => {
  const file = await temporary(t)
  await run('save', device, '--to', file('with'))
  await run('save', device, '--to', file('without'), '--no-events')
  t.true((await readFile(file('with'))).includes('"stop-copy"'))
  t.false((await readFile(file('without'))).includes('"stop-copy"'))
})

test('--report writes the report of either end to a file', async (t) => {
  const file = await temporary(t)
  await both(t, ['--report', file('out')], ['--report', file('in')])
  for (const [name, side] of [
    ['out', 'save'],
    ['in', 'restore'],
  ] as const) {
    t.like(JSON.parse(await readFile(file(name), 'utf8')), { side, outcome: 'completed' })
  }
})

test('--timeout is the deadline of every wait', async (t) => {
  const { out, into } = await both(t, [], ['--timeout', '200ms'], [`${device},fault=set-state@2:delay:5s`])
  t.is(into.status, 1)
  t.is(out.status, 1)
})

test('--insecure is needed for TCP beyond this machine', async (t) => {
  const outside =
    Object.values(networkInterfaces())
      .flat()
      .find((one) => one && !one.internal && one.family === 'IPv4')?.address ?? '192.0.2.1'
  const refused = await run('restore', device, '--from', `tcp:${outside}:0`)
  t.is(refused.status, 2)
  t.regex(refused.stderr, /insecure/)
  const listening = new Run(['restore', device, '--from', 'tcp:0.0.0.0:0', '--insecure'])
  await listening.said('listening')
  listening.child.kill('SIGTERM')
  t.is((await listening.ended).status, 130)
})

test('--no-p2p-traffic lets a group with a device without P2P state go', async (t) => {
  const devices = ['a=model:size=1MiB,p2p', 'b=model:size=1MiB']
  const file = await temporary(t)
  const refused = await run('save', ...devices, '--to', file('state'))
  t.is(refused.status, 2)
  t.regex(refused.stderr, /'b' has no P2P state/)
  t.is((await run('save', ...devices, '--to', file('state'), '--no-p2p-traffic')).status, 0)
  t.is((await run('restore', ...devices, '--from', file('state'), '--no-p2p-traffic')).status, 0)
})

test('--json prints one object, --json=events a line an event before it', async (t) => {
  const file = await temporary(t)
  const one = await run('save', device, '--to', file('a'), '--json')
  t.is(one.stdout.trim().split('\n').length, 1)
  t.is(one.stderr, '')
  const many = await run('save', device, '--to', file('b'), '--json=events')
  const lines = many.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  t.true(lines.length > 5)
  t.true(lines.slice(0, -1).every((line) => typeof line.type === 'string'))
  t.true(lines.at(-1)?.ok as boolean)
})

test('--quiet prints nothing but errors', async (t) => {
  const file = await temporary(t)
  t.like(await run('save', device, '--to', file('a'), '--quiet'), { status: 0, stdout: '', stderr: '' })
  t.regex((await run('save', device, '--to', file('a'), '--quiet')).stderr, /ERR_VFIO_EXISTS/)
})

test('without --quiet and --json a person reads what was done', async (t) => {
  const { stdout } = await run('save', device, '--to', (await temporary(t))('a'))
  t.regex(stdout, /completed: 4\.0 MiB in .*0 resets\n {2}gpu0: running → /)
})
