// `vfio-migration run`: unmodified programs find software devices.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { main, Run, run } from './support/cli.js'
import { temporary } from './support/temporary.js'

/** Opens the device that its arguments name, changes its state, and says what it found. */
const source = `
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/vfio.h>
int main(int count, char **words)
{
    if (count < 4) return 9;
    int container = open("/dev/vfio/vfio", O_RDWR), group = open(words[2], O_RDWR);
    if (container < 0 || group < 0) return 10;
    if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) || ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) return 11;
    int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, strrchr(words[1], '/') + 1);
    if (device < 0) return 12;
    struct vfio_device_info info = { .argsz = sizeof(info) };
    if (ioctl(device, VFIO_DEVICE_GET_INFO, &info)) return 13;
    struct { struct vfio_device_feature head; struct vfio_device_feature_mig_state state; }
        set = { { sizeof(set), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE }, { VFIO_DEVICE_STATE_STOP, -1 } };
    int fsm = ioctl(device, VFIO_DEVICE_FEATURE, &set) == 0;
    printf("%s %u regions, %s\\n", words[3], info.num_regions, fsm ? "fsm" : "no fsm");
    return atoi(words[3]);
}
`

const compiled = async (t: ExecutionContext, ...flags: string[]) => {
  const path = await temporary(t)
  await writeFile(path('p.c'), source)
  await promisify(execFile)('cc', ['-O2', '-o', path('p'), path('p.c'), ...flags])
  return { program: path('p'), path }
}

const device = ['--device', 'model:size=64KiB']
const places = ['{device0}', '{group0}']

test('--device, placeholders and the status: the program finds its device, and ends as it ends', async (t) => {
  const { program, path } = await compiled(t)
  // Others make their folders in the common place meanwhile.
  await mkdir(path('temporary'))
  const env = { TMPDIR: path('temporary') }
  const { status, stdout, stderr } = await new Run(['run', ...device, '--', program, ...places, '7'], { env }).ended
  t.is(status, 7)
  t.is(stdout, '7 9 regions, fsm\n')
  t.is(stderr, '')
  t.deepEqual(await readdir(path('temporary')), [], 'the folder goes')
})

test('--device again: a second device', async (t) => {
  const { program } = await compiled(t)
  const two = [...device, '--device', 'model:size=1MiB']
  const { status, stderr } = await run('run', ...two, '--', program, '{device1}', '{group1}', '0')
  t.is(status, 0, stderr)
  const beyond = await run('run', ...two, '--', program, '{device2}', '{group1}', '0')
  t.is(beyond.status, 2)
  t.regex(beyond.stderr, /\{device2\}: there are 2 devices, counted from 0/)
})

test('--protocol: what the devices speak that do not say', async (t) => {
  const { program } = await compiled(t)
  const region = await run('run', ...device, '--protocol', 'region', '--', program, ...places, '0')
  t.is(region.stdout, '0 10 regions, no fsm\n', region.stderr)
  const said = ['--device', 'model:size=64KiB,protocol=fsm', '--protocol=region']
  t.is((await run('run', ...said, '--', program, ...places, '0')).stdout, '0 9 regions, fsm\n')
})

test('--trace: every access is written down', async (t) => {
  const { program, path } = await compiled(t)
  await writeFile(path('trace'), 'of before\n')
  const { status } = await run('run', ...device, '--trace', path('trace'), '--', program, ...places, '0')
  t.is(status, 0)
  const trace = await readFile(path('trace'), 'utf8')
  t.regex(trace, /running\s+set-state stop/)
  t.notRegex(trace, /of before/)
  const shown = await run('trace', 'show', path('trace'), '--only=set-state')
  t.is(shown.status, 0, shown.stderr)
  t.regex(shown.stdout, /set-state stop/)
})

test('--blind and --quiet reach the program and its caller', async (t) => {
  const env = ['sh', '-c', 'echo "$VFIO_MIGRATION_PRELOAD_BLIND"']
  const loud = await run('run', ...device, '--', ...env)
  t.is(loud.stdout, '\n')
  t.regex(loud.stderr, /0000:00:01\.0 in \/dev\/vfio\/7000, \/dev\/vfio\/devices\/vfio7000\n$/)
  const quiet = await run('run', ...device, '--blind', '--quiet', '--', ...env)
  t.is(quiet.stdout, '1\n')
  t.is(quiet.stderr, '')
})

test('a program that asks by other functions of libc than open and ioctl sees the same', async (t) => {
  const ask =
    'const { mode, rdev } = fs.statSync("/dev/vfio/devices/vfio7000"); console.log(mode.toString(8), rdev >> 8)'
  const { stdout, stderr } = await run('run', ...device, '--quiet', '--', process.execPath, '-e', ask)
  t.is(stdout, '20666 511\n', stderr)
})

test('a signal that ends the program ends us as a shell would say it', async (t) => {
  const running = new Run(['run', ...device, '--', 'sh', '-c', 'echo began; exec sleep 600'])
  t.teardown(() => running.child.kill('SIGKILL'))
  await running.said('began')
  running.child.kill('SIGTERM')
  t.is((await running.ended).status, 143)
})

test('what a terminal says reaches the program once', async (t) => {
  // It says how often it was interrupted when it is asked to end, which we pass on behind all that came before.
  const program = `
    let heard = 0
    process.on('SIGINT', () => { heard += 1 }).on('SIGTERM', () => { console.log('heard ' + heard); process.exit() })
    setInterval(() => {}, 1000)
    console.log('began ' + process.ppid)`
  const { path } = await compiled(t)
  await writeFile(path('program.js'), program)
  const words = [process.execPath, main, 'run', ...device, '--quiet', '--', process.execPath, path('program.js')]
  const terminal = spawn('script', ['--quiet', '--return', '--command', words.join(' '), '/dev/null'])
  t.teardown(() => terminal.kill('SIGKILL'))
  let said = ''
  let parent: number | undefined
  let ending = false
  terminal.stdout.on('data', (bytes: Buffer) => {
    said += bytes
    const began = /began (\d+)/.exec(said)
    if (parent === undefined && began) {
      parent = Number(began[1])
      terminal.stdin.write('\x03')
    }
    // The terminal echoes it when it has told its foreground group.
    if (parent !== undefined && !ending && said.includes('^C')) {
      ending = true
      process.kill(parent, 'SIGTERM')
    }
  })
  await once(terminal, 'close')
  t.regex(said, /heard 1\b/)
})

test('programs that cannot be served are refused, by name', async (t) => {
  const { program, path } = await compiled(t, '-static')
  const refused = async (why: RegExp, status: number, ...words: string[]) => {
    const ran = await run('run', ...words)
    t.regex(ran.stderr, why)
    t.is(ran.status, status, words.join(' '))
  }
  await refused(/is static: no library can be preloaded into it/, 3, ...device, '--', program)
  await refused(/there is no program 'no-such-program'/, 2, ...device, '--', 'no-such-program')
  await refused(/p\.c may not be run/, 2, ...device, '--', path('p.c'))
  await writeFile(path('script'), `#! ${program} -x\n`)
  await chmod(path('script'), 0o755)
  await refused(/p is static/, 3, ...device, '--', path('script'))
  await copyFile(path('p.c'), path('text'))
  await chmod(path('text'), 0o755)
  await refused(/text is no program for this machine/, 3, ...device, '--', path('text'))
  await refused(/run needs a program/, 2, ...device)
  await refused(/run needs a device/, 2, '--', 'true')
  await refused(/only software devices/, 2, '--device', 'vfio:0000:00:01.0', '--', 'true')
  await refused(/size=no is no size/, 1, '--device', 'model:size=no', '--', 'true')
})

test('what a program starts finds the devices too, but for what is static', async (t) => {
  const { program } = await compiled(t)
  const { status } = await run('run', ...device, '--', 'sh', '-c', `${program} ${places.join(' ')} 5`)
  t.is(status, 5)
  const still = await compiled(t, '-static')
  const past = await run('run', ...device, '--', 'sh', '-c', `${still.program} ${places.join(' ')} 5`)
  t.is(past.status, 10, 'it opens nothing')
})
