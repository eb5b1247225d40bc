// What one case works with: a folder, and the machines that it starts, which end with it.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cache } from '../cache.mjs'
import { present as presentTo, send } from './devices.mjs'
import { assertGolden } from './golden.mjs'
import { lostPackets } from './lost-packets.mjs'
import { Trace } from './trace.mjs'
import { Vm } from './vm.mjs'

export class Bed {
  #folder
  #machines = []

  /** @param {string} name of the case @param {string} generation of QEMU @param {{ records: boolean }} options */
  constructor(name, generation, { records }) {
    this.name = name
    this.generation = generation
    /** Whether what the case compares with something recorded is to be recorded anew. */
    this.records = records
  }

  /** A folder of the case's own; short, since sockets lie in it. */
  get folder() {
    if (this.#folder === undefined) {
      mkdirSync(join(cache, 'runs'), { recursive: true })
      this.#folder = mkdtempSync(join(cache, 'runs/vmm-'))
    }
    return this.#folder
  }

  /** The path of a file of the case's. */
  file(name) {
    return join(this.folder, name)
  }

  /**
   * Starts a machine: what {@link Vm.start} takes, but for what the case gives.
   *
   * @param {string} name
   * @param {object} wanted
   * @param {import('./devices.mjs').Devices} [wanted.devices]
   */
  async start(name, { devices, ...wanted } = {}) {
    const trace = this.file(`${name}.trace`)
    const present = devices && presentTo(this.generation, this.file(`${name}.sysfs`), { trace, ...devices })
    const monitor = this.file(`${name}.monitor`)
    const more = present?.sent ? { args: ['-qmp', `unix:${monitor},server=on,wait=off`] } : {}
    const shared = { generation: this.generation, folder: this.folder }
    const vm = await Vm.start({ ...shared, name, ...wanted, ...more, devices: present })
    vm.trace = new Trace(trace)
    vm.devices = present?.count ?? 0
    this.#machines.push(vm)
    if (present?.sent) send(present, monitor)
    return vm
  }

  /** Moves a guest: what must be set first is, at both ends. Gives back how it ended at the source. */
  async move(source, target, { capabilities = [], parameters = {} } = {}) {
    for (const vm of [source, target]) {
      await vm.capabilities(capabilities)
      if (Object.keys(parameters).length > 0) await vm.execute('migrate-set-parameters', parameters)
    }
    const uri = `unix:${this.file(`${target.name}.socket`)}`
    await target.execute('migrate-incoming', { uri })
    await source.execute('migrate', { uri })
    return source.migrated()
  }

  /** What was asked of the devices of every machine is what is kept of this case. */
  async compareTraces() {
    for (const vm of this.#machines) {
      if (!vm.ended) vm.kill()
      await vm.end()
      await assertGolden(this, vm)
    }
  }

  /** What the machines said, for whoever looks for a mistake. */
  told() {
    return this.#machines
      .map((vm) => {
        const { code, signal } = vm.ended ?? {}
        const end = vm.ended ? `ended with ${signal ?? code}` : 'runs'
        const trace = vm.trace.text.split('\n').slice(-40).join('\n')
        return `${vm.name} ${end}, its guest told '${vm.port.slice(0, 40)}', it said: ${vm.said.trim()}\n${trace}`
      })
      .join('\n')
  }

  /** What the destination has not got that the source has sent, by no fault of its devices. */
  get lost() {
    return lostPackets(this.#machines)
  }

  async end() {
    for (const vm of this.#machines) vm.kill()
    await Promise.allSettled(this.#machines.map((vm) => vm.end()))
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
  }
}
