// What one case works with: a folder, and the machines that it starts, which end with it.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cache } from '../cache.mjs'
import { Vm } from './vm.mjs'

export class Bed {
  #folder
  #machines = []

  /** @param {string} name of the case @param {string} generation of QEMU */
  constructor(name, generation) {
    this.name = name
    this.generation = generation
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

  /** Starts a machine: what {@link Vm.start} takes, but for what the case gives. */
  async start(name, wanted = {}) {
    const vm = await Vm.start({ generation: this.generation, folder: this.folder, name, ...wanted })
    this.#machines.push(vm)
    return vm
  }

  /** What the machines said, for whoever looks for a mistake. */
  told() {
    return this.#machines
      .map((vm) => {
        const { code, signal } = vm.ended ?? {}
        const end = vm.ended ? `ended with ${signal ?? code}` : 'runs'
        return `${vm.name} ${end}, its guest told '${vm.port.slice(0, 40)}', it said: ${vm.said.trim()}`
      })
      .join('\n')
  }

  async end() {
    for (const vm of this.#machines) vm.kill()
    await Promise.allSettled(this.#machines.map((vm) => vm.end()))
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
  }
}
