// A guest with a device goes to a file and comes back.
import assert from 'node:assert/strict'
import { emulators } from '../../emulators.mjs'
import { assertArrived, assertGoesOn, assertNoResets } from '../judge.mjs'
import { able, done, judge } from '../move.mjs'

/** Runs a job of QEMU's to its end. */
const job = async (vm, command, args) => {
  const id = `${command}-${args.tag ?? args.options?.driver}`
  await vm.execute(command, { 'job-id': id, ...args })
  const ended = await vm.hears(`the job ${id}`, async () => {
    const jobs = await vm.execute('query-jobs')
    return jobs.find((one) => one.id === id && one.status === 'concluded')
  })
  await vm.execute('job-dismiss', { id })
  assert.equal(ended.error, undefined, `${command}: ${ended.error}`)
}

/** A disk that snapshots of the machine are kept on. */
const disk = async (vm, path, { make = false } = {}) => {
  const file = { driver: 'file', filename: path }
  if (make) {
    await job(vm, 'blockdev-create', { options: { ...file, size: 0 } })
    await vm.execute('blockdev-add', { ...file, 'node-name': 'file' })
    await job(vm, 'blockdev-create', { options: { driver: 'qcow2', file: 'file', size: 1 << 20 } })
    await vm.execute('blockdev-add', { driver: 'qcow2', 'node-name': 'disk', file: 'file' })
  } else await vm.execute('blockdev-add', { driver: 'qcow2', 'node-name': 'disk', file })
}

const snapshot = { tag: 'one', vmstate: 'disk', devices: ['disk'] }

/** @type {Record<string, import('../test.mjs').Case>} */
export default {
  file: {
    what: 'a guest goes to a file with its device, and comes back from it in another machine',
    golden: true,
    on: emulators,
    run: async (bed) => {
      const devices = { settings: able(bed) }
      const source = await bed.start('source', { devices })
      await source.booted(1)
      const path = bed.file('state')
      // QEMU writes files itself from 8.2 on.
      const [to, from] =
        bed.generation === '7.2' ? [`exec:cat > ${path}`, `exec:cat ${path}`] : Array(2).fill(`file:${path}`)
      await source.execute('migrate', { uri: to })
      assert.deepEqual(await source.migrated(), done)
      const target = await bed.start('target', { devices, incoming: true })
      await target.execute('migrate-incoming', { uri: from })
      await target.reaches('running')
      await judge([source, target])
    },
  },
  snapshot: {
    what: 'savevm and loadvm keep a device, in the same machine and in another',
    golden: true,
    on: emulators,
    run: async (bed) => {
      const devices = { settings: able(bed) }
      const source = await bed.start('source', { devices })
      await source.booted(1)
      await disk(source, bed.file('disk'), { make: true })
      await job(source, 'snapshot-save', snapshot)
      const saved = await assertGoesOn(source)
      await job(source, 'snapshot-load', snapshot)
      assertArrived(source.trace, source.trace)
      const again = await assertGoesOn(source)
      assert.ok(again.rounds > 0 && saved.rounds > 0)
      // Going back resets the machine, and nothing else does.
      await source.quit()
      assertNoResets(source.trace, { machine: 2 })
      const target = await bed.start('target', { devices, paused: true })
      await disk(target, bed.file('disk'))
      await job(target, 'snapshot-load', snapshot)
      await target.execute('cont')
      await target.reaches('running')
      assertArrived(source.trace, target.trace)
      await assertGoesOn(target)
      assert.deepEqual(await target.quit(), { code: 0, signal: null })
    },
  },
}
