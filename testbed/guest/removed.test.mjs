// In a machine with mtty: a device is taken away from under a session, as an administrator does it by sysfs. The kernel then
// waits until nobody has the device open any more; mtty has no way to ask its users for it (vfio-pci has one: an interrupt
// of its own, which belongs to the VMM). So nothing happens to the session, nobody else opens the device, and it goes when it
// is closed.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isVfioError, openDevice, restore, save } from '../../ts/dist/index.js'
import { assertHolds, createMdev, driverLog, fill, hasCdev } from './mtty.mjs'

const ways = hasCdev ? ['group', 'cdev'] : ['group']

/**
 * Removes a device that is open, by a process of its own, which no signal ends while it waits; comes back once the kernel has
 * begun. It begins with the file that it was asked by.
 */
const remove = async (uuid) => {
  const file = `/sys/bus/mdev/devices/${uuid}/remove`
  const child = spawn('sh', ['-c', 'echo 1 > "$0"', file], { stdio: ['ignore', 'inherit', 'inherit'] })
  const ended = once(child, 'close')
  while (existsSync(file)) await sleep(10)
  return { ended, waits: () => child.exitCode === null }
}

const absent = (error) => isVfioError(error, 'ERR_VFIO_HOST')

/** Opens a device and closes it at the end of a test, before the devices are removed: a removal waits for that. */
const opener = (t) => {
  const opened = []
  t.after(async () => {
    for (const device of opened) await device.close()
  })
  return async (uuid, by) => {
    opened.push(await openDevice(`mdev:${uuid}?by=${by}`, { id: 'port' }))
    return opened.at(-1)
  }
}

for (const by of ways) {
  test(`a device that is removed in mid-session moves all the same, by ${by}`, async (t) => {
    const open = opener(t)
    const [source, destination] = [createMdev(t), createMdev(t)]
    fill(source, by)
    const file = join(tmpdir(), `removed-${by}`)
    driverLog(source)

    const removals = []
    const completed = ({ devices: [{ outcome, device }] }) => {
      assert.equal(outcome, 'completed')
      assert.ok(removals.at(-1).waits(), 'the device is still open')
      return device
    }
    const pause = async () => {
      removals.push(await remove(source))
      await assert.rejects(open(source, by), absent)
    }
    const saved = await save(await open(source, by), { pause })
    const left = completed(await saved.sendTo({ file }))
    assert.equal(left.state, 'stop')
    await left.close()

    const other = createMdev(t)
    const configure = async () => {
      removals.push(await remove(other))
      await assert.rejects(open(other, by), absent)
    }
    const restored = await restore(await open(other, by), { configure })
    const running = completed(await restored.receiveFrom({ file }))
    assert.equal(running.state, 'running')
    await running.close()

    for (const { ended } of removals) assert.deepEqual(await ended, [0, null])
    assert.ok(!driverLog(source).includes('reset'))
    for (const uuid of [source, other]) await assert.rejects(open(uuid, by), absent)

    // What was saved is whole.
    const whole = await restore(await open(destination, by))
    const [{ device }] = (await whole.receiveFrom({ file })).devices
    await device.close()
    assertHolds(destination, by)
  })
}
