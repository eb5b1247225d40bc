// In a machine with mtty, which keeps its state over a close: a process is killed with the device in each of its states, and
// the command line then finds a device that it can use. The obvious way out of one of them is a fault of the driver that
// stops the machine.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { cli } from './cli.mjs'
import { assertHolds, createMdev, driverLog, fill } from './mtty.mjs'

const { STATE, TESTBED_SHARE, TESTBED_KERNEL, TESTBED_SET } = process.env

/** Each state by the requests that lead there, with the numbers of the kernel; 2 is where a device begins. */
const states = {
  stop: [1],
  running: [2],
  'stop-copy': [3],
  resuming: [4],
  'running-p2p': [5],
  'pre-copy': [6],
  'pre-copy-p2p': [7],
}

/** Leaves a device in a state, as a program does that is killed there. */
const die = async (uuid, requests) => {
  const child = spawn(STATE, [`/sys/bus/mdev/devices/${uuid}`, uuid, ...requests.map(String)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  const [said] = await once(child.stdout, 'data')
  assert.equal(String(said), 'there\n')
  child.kill('SIGKILL')
  const [, signal] = await closed
  assert.equal(signal, 'SIGKILL')
}

for (const [name, requests] of Object.entries(states)) {
  test(`a process dies with the device in ${name}: it can be restored into and saved`, async (t) => {
    const [source, victim] = [createMdev(t), createMdev(t)]
    const path = join(TESTBED_SHARE, `killed-${TESTBED_KERNEL}-${TESTBED_SET}-${name}`)
    const text = `was ${name}`
    fill(source, text)
    assert.equal(cli('save', `port=mdev:${source}`, '--to', path).status, 0)
    await die(victim, requests)
    driverLog(victim)
    const { status, stderr, json } = cli('restore', `port=mdev:${victim}`, '--from', path, '--then', 'run', '--json')
    assert.equal(status, 0, stderr)
    assert.equal(json.ok, true)
    // A device that we opened and found elsewhere is reset, never walked out.
    assert.equal(driverLog(victim).filter((line) => line === 'reset').length, name === 'running' ? 0 : 1)
    await die(victim, requests)
    assert.equal(cli('save', `port=mdev:${victim}`, '--to', `${path}-again`).status, 0)
    assertHolds(victim, text)
  })
}
