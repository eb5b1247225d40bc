// Each is one clear line on standard error with what to do, the right status, and with --json the same as an object.
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { lastJson, Run, run } from './support/cli.js'
import { temporary } from './support/temporary.js'

const device = 'model:size=1MiB'

const refused = async (t: ExecutionContext, args: string[], status: number, code: string, words: RegExp) => {
  const plain = await run(...args)
  t.is(plain.status, status, plain.stderr)
  t.regex(plain.stderr, new RegExp(`^vfio-migration: ${code}: [^\\n]+\\([^\\n]+\\)\\n$`))
  t.regex(plain.stderr, words)
  t.is(plain.stdout, '')
  const json = await run(...args, '--json')
  t.is(json.status, status)
  const { ok, error } = lastJson(json.stdout.trim() ? json : { stdout: json.stderr }) as {
    ok: boolean
    error: Record<string, string>
  }
  t.false(ok)
  t.is(error.code, code)
  t.truthy(error.message)
  t.truthy(error.remedy)
}

const usage: Record<string, readonly [string[], RegExp]> = {
  'an unknown command': [['sav', device], /did you mean save\?/],
  'an unknown option': [['save', device, '--two', 'x'], /did you mean --to\?/],
  'an option without its value': [['save', device, '--to'], /--to needs a value/],
  'a value for a switch': [['save', device, '--to', 'x', '--force=yes'], /--force takes no value/],
  'an option twice': [['save', device, '--to', 'x', '--to', 'y'], /--to stands there twice/],
  'a short option': [['save', device, '-x'], /no short options/],
  'no device': [['save', '--to', 'x'], /no device/],
  'no place': [['save', device], /--to WHERE is missing/],
  'a choice that is none': [['save', device, '--to', 'x', '--then', 'panic'], /choose stop or resume/],
  'a size that is none': [['demo', '--size', '12furlongs'], /--size 12furlongs/],
  'a size beyond all bounds': [['demo', '--size', '99999999999TiB'], /--size/],
  'a number that is none': [['demo', '--devices', 'many'], /--devices many/],
  'no devices at all': [['demo', '--devices', '0'], /from 1 to 64/],
  'an operand of list': [['list', 'vfio:0000:65:00.1'], /doctor and probe/],
  'two devices to probe': [['probe', 'model:size=1MiB', 'model:size=1MiB'], /one device/],
  'two devices for the doctor': [['doctor', '65:00.1', '65:00.2'], /one device/],
  'a device that the doctor cannot look at': [['doctor', 'model:size=1MiB'], /vfio:BDF/],
  '--hold where standard input is the stream': [['restore', device, '--from', '-', '--hold'], /--from PATH/],
  'an operand too many': [['demo', 'x'], /takes no operands/],
  'a time that is none': [['save', device, '--to', 'x', '--timeout', 'soon'], /--timeout soon/],
  'a rate of nothing': [['save', device, '--to', 'x', '--rate', '0'], /rate/],
  'an address without a host': [['save', device, '--to', 'tcp::4444'], /tcp:HOST:PORT/],
  'a port beyond all bounds': [['save', device, '--to', 'tcp:localhost:65536'], /65535/],
  'an unknown scheme of a place': [['save', device, '--to', 'http:example'], /unknown scheme/],
  'a descriptor that is none': [['save', device, '--to', 'fd:x'], /fd:N/],
  'a descriptor that is not open': [['save', device, '--to', 'fd:77'], /77/],
  'a path too long for a socket': [['restore', device, '--from', `unix:/tmp/${'x'.repeat(200)}`], /too long|108|107/],
  'settings of a device that are none': [['save', 'model:size=big', '--to', 'x'], /size=big/],
  'two devices of one name': [['save', `a=${device}`, `a=${device}`, '--to', 'x'], /two devices are called 'a'/],
}
for (const [name, [args, words]] of Object.entries(usage)) {
  test(name, (t) => refused(t, args, 2, 'ERR_VFIO_USAGE', words))
}

test('no command at all', async (t) => {
  const { status, stderr } = await run()
  t.is(status, 2)
  t.regex(stderr, /a command is missing/)
})

test('an unknown scheme of a device', (t) =>
  refused(t, ['save', 'floppy:0', '--to', 'x'], 3, 'ERR_VFIO_UNSUPPORTED', /floppy/))
const kernelDevices: Record<string, readonly [string, number, string, RegExp]> = {
  'a PCI function that is not there': ['vfio:ffff:3b:00.0', 3, 'ERR_VFIO_HOST', /no device vfio:ffff:3b:00\.0/],
  'a BDF that is none': ['vfio:0000:65:20.1', 2, 'ERR_VFIO_USAGE', /'0000:65:20\.1'/],
  'an mdev that is none': ['mdev:1', 2, 'ERR_VFIO_USAGE', /'1' is no name of an mdev/],
  'a descriptor that is no device': ['fd:0', 3, 'ERR_VFIO_UNSUPPORTED', /fd:0/],
  'a descriptor that nobody opened': ['fd:77', 2, 'ERR_VFIO_USAGE', /77 cannot be used/],
  'a process that is gone': ['pidfd:4194303:3', 2, 'ERR_VFIO_USAGE', /no such process/],
  'a socket where nobody hands a device over': ['fd:unix:/nonexistent/s', 2, 'ERR_VFIO_USAGE', /cannot connect/],
}
for (const [what, [address, status, code, words]] of Object.entries(kernelDevices)) {
  test(what, (t) => refused(t, ['probe', address], status, code, words))
}
test('a token that is wrong is not shown', async (t) => {
  const { stderr, stdout } = await run('save', 'vfio:ffff:3b:00.0?vf_token=secret', '--to', 'x', '--json')
  t.regex(stderr, /vf_token/)
  t.notRegex(stderr + stdout, /secret/)
})

test('a file that is not there', async (t) => {
  const file = await temporary(t)
  await refused(t, ['restore', device, '--from', file('nothing')], 1, 'ERR_VFIO_TRANSPORT', /nothing/)
})

test('a folder that is not there', async (t) => {
  const file = await temporary(t)
  await refused(t, ['save', device, '--to', `${file('nothing')}/state`], 1, 'ERR_VFIO_TRANSPORT', /nothing/)
})

test('a folder as a file', async (t) => {
  const file = await temporary(t)
  await mkdir(file('folder'))
  for (const args of [
    ['save', device, '--to', file('folder')],
    ['restore', device, '--from', file('folder')],
  ]) {
    const { status, stderr } = await run(...args)
    t.true(status === 1 || status === 2, stderr)
    t.regex(stderr, /^vfio-migration: ERR_VFIO_\w+: [^\n]*folder[^\n]*\n$/)
  }
})

test('a file with something else in it', async (t) => {
  const file = await temporary(t)
  await writeFile(file('other'), 'x'.repeat(10_000))
  const { status, stderr } = await run('restore', device, '--from', file('other'))
  t.is(status, 1)
  t.regex(stderr, /ERR_VFIO_(STREAM_CORRUPT|INCOMPATIBLE)/)
})

test('an empty file', async (t) => {
  const file = await temporary(t)
  await writeFile(file('empty'), '')
  const { status, stderr } = await run('restore', device, '--from', file('empty'))
  t.is(status, 1)
  t.regex(stderr, /ERR_VFIO_STREAM_TRUNCATED/)
})

test('another device than the one that was saved', async (t) => {
  const file = await temporary(t)
  await run('save', device, '--to', file('state'))
  await refused(t, ['restore', 'model:size=2MiB', '--from', file('state')], 1, 'ERR_VFIO_INCOMPATIBLE', /size/)
})

test('a port in use', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  await refused(t, ['restore', device, '--from', `tcp:127.0.0.1:${port}`], 1, 'ERR_VFIO_TRANSPORT', /in use/)
})

test('a socket on which somebody answers is not taken away; a stale one is replaced', async (t) => {
  const file = await temporary(t)
  const first = new Run(['restore', device, '--from', `unix:${file('s')}`])
  await first.said('listening')
  const second = await run('restore', device, '--from', `unix:${file('s')}`)
  t.is(second.status, 1)
  t.regex(second.stderr, /ERR_VFIO_EXISTS/)
  first.child.kill('SIGKILL')
  await first.ended
  const third = new Run(['restore', device, '--from', `unix:${file('s')}`])
  await third.said('listening')
  third.child.kill('SIGTERM')
  t.is((await third.ended).status, 130)
})

test('nobody who listens: tried again for a while, then told', async (t) => {
  const file = await temporary(t)
  const saving = new Run(['save', device, '--to', `unix:${file('s')}`])
  // It waits for a restore that comes late.
  await new Promise((resolve) => setTimeout(resolve, 300))
  const restoring = new Run(['restore', device, '--from', `unix:${file('s')}`])
  t.is((await saving.ended).status, 0)
  t.is((await restoring.ended).status, 0)
})

test('a reader that goes away: SIGPIPE is an error like others', async (t) => {
  const saving = new Run(['save', 'model:size=64MiB', '--to', '-'])
  saving.child.stdout?.once('data', () => saving.child.stdout?.destroy())
  const { status, signal, stderr } = await saving.ended
  t.is(signal, null)
  t.is(status, 1)
  t.regex(stderr, /ERR_VFIO_TRANSPORT/)
})
