// In a machine with the project's own module in its wiping mode, in which it forgets everything at its first open and its
// last close, as PCI functions do: what is saved and restored passes through descriptors that another program holds or
// takes over.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openDevice } from '../../ts/dist/index.js'
import { cli, cliLater } from './cli.mjs'
import { from, to } from './testdev.mjs'

const folder = tmpdir()
const file = join(folder, 'wiped.state')
const taker = fileURLToPath(new URL('taker.mjs', import.meta.url))

for (const device of [from, to]) device.reset({ wipe: 1 })

test('what would be wiped is not saved afresh', () => {
  const { status, stderr } = cli('save', `device=${from.address}`, '--to', file)
  assert.equal(status, 2)
  assert.match(stderr, /would be empty.*--fresh/)
  assert.equal(from.count('open'), 0)
})

test('a device is saved through the program that holds it, and keeps what is in it', async () => {
  const holder = await openDevice(from.address)
  from.set('secret', 4711)
  const offer = holder.offer(join(folder, 'holder'))
  // This process gives the descriptor away while the command runs.
  const saved = await cliLater(
    ...['save', `device=fd:unix:${offer.path}?device=${from.address}`, '--to', file, '--then', 'resume'],
  )
  assert.equal(saved.status, 0, saved.stderr)
  offer.close()
  assert.deepEqual([from.secret, from.count('wipes'), from.count('reset')], ['4711', 1, 0])
  await holder.close()
  assert.deepEqual([from.secret, from.count('wipes')], ['0', 2])
})

test('--exec hands a restored device to a program that goes on without us', async () => {
  const pid = join(folder, 'taker.pid')
  // The program takes the device at its socket, says so, and stays when the command of --exec has ended: not on our pipes,
  // whose end is awaited.
  const command = [
    `"${process.execPath}" "${taker}" "$VFIO_MIGRATION_SOCKETS/device" "${to.address}" "${folder}/taken" > "${folder}/taker.log" 2>&1 &`,
    `echo $! > "${pid}"; while ! [ -e "${folder}/taken" ]; do kill -0 $! || exit 1; sleep 0.1; done`,
  ].join('\n')
  const restored = await cliLater(
    ...['restore', `device=${to.address}`, '--from', file, '--then', 'run', '--exec', command],
  )
  assert.equal(restored.status, 0, restored.stderr)
  const program = Number(readFileSync(pid, 'utf8'))
  try {
    assert.equal(readFileSync(join(folder, 'taken'), 'utf8'), 'running')
    assert.deepEqual([to.secret, to.count('wipes'), to.count('reset')], ['4711', 1, 0], 'it outlives the restore')
  } finally {
    process.kill(program)
  }
  for (let tries = 0; to.count('wipes') < 2 && tries < 100; tries += 1) await once(spawn('sleep', ['0.1']), 'close')
  assert.deepEqual([to.secret, to.count('wipes')], ['0', 2], 'and not its last holder')
})
