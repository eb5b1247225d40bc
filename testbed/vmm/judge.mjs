// What must hold when a guest and its devices have moved, judged by what the devices know.
import assert from 'node:assert/strict'

/** What a device held at the end of the save is what it held at the end of the load, before it ran. */
export const assertArrived = (source, target, devices = 1) => {
  for (let device = 0; device < devices; device += 1) {
    const [saved, loaded] = [
      source.held('saved', { device: `${device}` }),
      target.held('loaded', { device: `${device}` }),
    ]
    assert.ok(saved, `device ${device} was not saved to its end`)
    assert.deepEqual(loaded, saved, `device ${device} holds something else than it did`)
  }
}

const page = 4096

/** The addresses of the pages in which the memory of two guests differs. Only of guests that do not run it is certain. */
export const differing = async (one, other) => {
  const others = await other.memoryBytes()
  return (await one.memoryBytes()).flatMap(({ from, bytes }, piece) => {
    const starts = Array.from({ length: bytes.length / page }, (_, index) => index * page)
    const same = (at) => bytes.subarray(at, at + page).equals(others[piece].bytes.subarray(at, at + page))
    return starts.filter((at) => !same(at)).map((at) => from + at)
  })
}

/** Resets since the machine was started: QEMU resets each device once then, and nobody may do it later. */
export const assertNoResets = (trace, { devices = 1, machine = 1 } = {}) => {
  for (let device = 0; device < devices; device += 1) {
    assert.equal(trace.count('reset', { device: `${device}` }), machine, `resets of device ${device}`)
  }
}

/** The guest uses its devices as if nothing had been. */
export const assertGoesOn = async (vm, rounds = 50) => {
  const known = await vm.works(rounds)
  assert.equal(known.errors, 0, `the guest lost something: ${known.kinds.join(', ')}`)
  return known
}

/** Nobody touched a device that was not to be touched. */
export const assertUntouched = (trace, devices = 1) => {
  for (let device = 0; device < devices; device += 1) {
    assert.deepEqual(trace.notes('touched', { device: `${device}` }), [], `device ${device} was touched while quiet`)
  }
}

/** When the machine ends, its devices have counted on from where they were when they came. */
export const assertCounted = (trace, devices = 1) => {
  for (let device = 0; device < devices; device += 1) {
    const [last] = trace.notes('registers', { device: `${device}` }).slice(-1)
    assert.ok(last, `device ${device} said nothing at its end`)
    const loaded = trace.held('loaded', { device: `${device}` })
    assert.ok(Number(last.with[1]) >= loaded.counter, `device ${device} counts from ${last.with[1]} again`)
  }
}

const quiet = ['running-p2p', 'pre-copy-p2p']
const still = ['stop', 'stop-copy', 'resuming', 'error']

/**
 * Where devices of one machine were not quiet together: the first line at which one device could still write to another that
 * could no longer take it. Undefined if the barrier held.
 */
export const barrierBroken = (trace) => {
  const states = new Map()
  const { lines } = trace
  // Devices into which nothing came yet hold nothing that a peer could disturb.
  const arrived = lines.findLastIndex(({ call, with: [to] }) => call === 'set-state' && to === 'resuming')
  for (const line of lines.slice(arrived + 1)) {
    if (line.device === '-' || line.state === '-') continue
    states.set(line.device, line.state)
    const failed = line.gave.some((word) => /^E[A-Z0-9]+$/.test(word))
    if (line.call === 'set-state' && !failed) states.set(line.device, line.with[0])
    if (line.call === 'reset' && !failed) states.set(line.device, 'running')
    const all = [...states.values()]
    const writes = all.some((state) => !quiet.includes(state) && !still.includes(state))
    if (writes && all.some((state) => still.includes(state))) return { line, states: Object.fromEntries(states) }
  }
  return undefined
}
