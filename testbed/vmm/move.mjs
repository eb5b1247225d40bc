// What the cases have in common that move a guest with its devices: how it moves, and what must hold afterwards.
import assert from 'node:assert/strict'
import { assertArrived, assertCounted, assertGoesOn, assertNoResets, assertUntouched, differing } from './judge.mjs'

/** The QEMUs that speak fsm. */
export const fsm = ['10.0', '11.1']

/** A device that can do everything, by fsm. */
export const full = 'pre-copy,p2p,dirty-tracking'

/** A device that a QEMU can migrate, and that can do everything that this one asks of it. */
export const able = ({ generation }) => (generation === '7.2' ? 'pre-copy,protocol=region,dialect=qemu' : full)

/** How a migration ends that succeeded. */
export const done = { status: 'completed', why: undefined }

/**
 * Both ends, after the guest of the source has moved: `[source, target]`.
 *
 * @param {import('./bed.mjs').Bed} bed
 * @param {import('./devices.mjs').Devices} devices at both ends
 * @param {{ paused?: boolean, asleep?: boolean, capabilities?: string[], ability?: import('./guest.mjs').Ability,
 *   machine?: string }} [how] whether the guest stays paused at the destination, and whether it was paused at the source before
 */
export const pair = async (bed, devices, { paused = false, asleep = false, capabilities = [], ...both } = {}) => {
  // Devices that come to a machine are there before its firmware looks for them.
  const late = devices.passed === 'sent'
  const source = await bed.start('source', { devices, paused: late, ...both })
  if (late) await source.execute('cont')
  await source.booted(source.devices)
  if (asleep) await source.execute('stop')
  const target = await bed.start('target', { devices, incoming: true, paused, ...both })
  assert.deepEqual(await bed.move(source, target, { capabilities }), done)
  return [source, target]
}

/** The guest's memory is the same at both ends while nothing runs. Lets it run at the destination then. */
export const sameMemory = async ([source, target]) => {
  await target.reaches('paused')
  const pages = (await differing(source, target)).map((at) => `0x${at.toString(16)}`)
  assert.deepEqual(pages, [], 'these pages of the guest’s memory differ')
  await target.execute('cont')
}

/** What must hold of a move, and then at the end of the machines. */
export const judge = async ([source, target]) => {
  assertArrived(source.trace, target.trace, target.devices)
  await assertGoesOn(target)
  for (const vm of [source, target]) {
    assert.deepEqual(await vm.quit(), { code: 0, signal: null })
    assertNoResets(vm.trace, { devices: vm.devices })
    assertUntouched(vm.trace, vm.devices)
  }
  assertCounted(target.trace, target.devices)
}

/** A move of a running guest to a machine that runs it at once. */
export const live = (devices, how) => async (bed) => {
  const ends = await pair(bed, devices, how)
  await ends[1].reaches('running')
  await judge(ends)
}

/** A move to a machine that waits, in which the guest's memory is compared while nothing runs. Gives back both ends. */
export const compared = (devices, how) => async (bed) => {
  const ends = await pair(bed, devices, { ...how, paused: true })
  await sameMemory(ends)
  await judge(ends)
  return ends
}
