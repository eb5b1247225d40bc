// Devices of the kernel that cannot be had: one line, a remedy, and a status that says who must act. What a real kernel does is
// tested in the test bed.
import { once } from 'node:events'
import { createServer } from 'node:net'
import test from 'ava'
import { isVfioError, openDevice } from 'vfio-migration'
import { lastJson, run } from './support/cli.js'
import { temporary } from './support/temporary.js'

const nobody = 'mdev:00000000-0000-4000-8000-000000000000'

const refused: Record<string, readonly [string, number, string, RegExp]> = {
  'a function that does not exist': ['vfio:ffff:ff:1f.7', 3, 'ERR_VFIO_HOST', /no device vfio:ffff:ff:1f\.7/],
  'a malformed address of a function': ['vfio:65:00', 2, 'ERR_VFIO_USAGE', /lspci -D/],
  'an mdev that does not exist': [nobody, 3, 'ERR_VFIO_HOST', /ls \/sys\/bus\/mdev\/devices/],
  'a malformed name of an mdev': ['mdev:5', 2, 'ERR_VFIO_USAGE', /must be a UUID/],
  'a node that does not exist': ['cdev:/dev/vfio/devices/vfio99', 3, 'ERR_VFIO_HOST', /does not exist/],
  'a node of something else': ['cdev:/dev/null', 3, 'ERR_VFIO_UNSUPPORTED', /is no VFIO device/],
  'a descriptor of something else': ['fd:0', 3, 'ERR_VFIO_UNSUPPORTED', /fd:0 is .*, not a VFIO device/],
  'a descriptor that is not open': ['fd:77', 2, 'ERR_VFIO_USAGE', /77/],
  'a process that is gone': ['pidfd:2147483647:3', 2, 'ERR_VFIO_USAGE', /no such process/],
  'a socket where nobody listens': ['fd:unix:/nonexistent.sock', 2, 'ERR_VFIO_USAGE', /start the program/],
  'a malformed token': [`${nobody}?vf_token=secret`, 2, 'ERR_VFIO_USAGE', /^(?!.*secret).*vf_token is wrong/],
}

for (const [what, [address, status, code, words]] of Object.entries(refused)) {
  test(what, async (t) => {
    const plain = await run('save', address, '--to', '/nonexistent/x')
    t.is(plain.status, status, plain.stderr)
    t.regex(plain.stderr, new RegExp(`^vfio-migration: ${code}: [^\\n]+\\([^\\n]+\\)\\n$`))
    t.regex(plain.stderr, words)
    const { error } = lastJson(await run('save', address, '--to', '/nonexistent/x', '--json')) as {
      error: { code: string }
    }
    t.is(error.code, code)
  })
}

test('a token is in no error', async (t) => {
  const secret = 'deadbeef-0000-4000-8000-00c0ffee0001'
  const error = await t.throwsAsync(openDevice(`${nobody}?vf_token=${secret}`))
  t.true(isVfioError(error))
  t.notRegex(JSON.stringify(error) + String(error?.stack), /deadbeef/)
})

test('a program that hands nothing over is waited for as long as it is told', async (t) => {
  const path = (await temporary(t))('silent.sock')
  const silent = createServer()
  t.teardown(() => silent.close())
  const connected = once(silent, 'connection')
  silent.listen(path)
  await once(silent, 'listening')
  const opening = openDevice(`fd:unix:${path}`, { waitMs: 50 })
  await t.throwsAsync(opening, { code: 'ERR_VFIO_USAGE', message: /said nothing within 50 ms/ })
  const [socket] = await connected
  socket.destroy()
  for (const waitMs of [-1, Number.NaN, '50' as unknown as number]) {
    await t.throwsAsync(openDevice(`fd:unix:${path}`, { waitMs }), { code: 'ERR_VFIO_USAGE', message: /waitMs/ })
  }
})
