// Runs an unmodified QEMU in a machine, with an mtty as its device, and talks to its monitor.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long the monitor and a migration may take here, where the emulator is emulated; a watchdog only. */
const patience = 120_000

/** A QEMU with one device of VFIO; `arguments` are more of its own. */
export class Qemu {
  #child
  #waiting = []
  #said = ''

  static async start(uuid, ...more) {
    const qemu = new Qemu(uuid, more)
    await qemu.#next()
    await qemu.execute('qmp_capabilities')
    return qemu
  }

  constructor(uuid, more) {
    const { command, env } = JSON.parse(process.env.QEMU)
    const device = `vfio-pci,id=port,addr=0x5,enable-migration=on,sysfsdev=/sys/bus/mdev/devices/${uuid}`
    // Without iommufd the kernel says that it can log the device's writes, and then cannot report them.
    const tracking = process.env.TESTBED_SET === 'stock' ? ',x-device-dirty-page-tracking=off' : ''
    const args = [
      ...command.slice(1),
      ...['-M', 'q35', '-accel', 'tcg,tb-size=64', '-m', '32', '-no-user-config', '-nodefaults', '-display', 'none'],
      ...['-qmp', 'stdio', '-device', device + tracking, ...more],
    ]
    this.#child = spawn(command[0], args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stderr.on('data', (bytes) => {
      this.#said += bytes
    })
    this.#child.on('close', () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(`QEMU ended: ${this.#said}`))
    })
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const message = JSON.parse(line)
      // Events come at any time; states are asked for instead.
      if (message.event === undefined) this.#waiting.shift()?.resolve(message)
    })
  }

  #next() {
    const { promise, resolve, reject } = withResolvers()
    const timer = setTimeout(() => reject(new Error(`QEMU does not answer: ${this.#said}`)), patience)
    this.#waiting.push({ resolve, reject })
    return promise.finally(() => clearTimeout(timer))
  }

  async execute(execute, args = {}) {
    const answer = this.#next()
    this.#child.stdin.write(`${JSON.stringify({ execute, arguments: args })}\n`)
    const { error, return: result } = await answer
    if (error) throw new Error(`${execute}: ${error.desc}`)
    return result
  }

  /** Waits until a migration has ended as it should, and the guest is in this state. */
  async migrated(state) {
    for (const end = Date.now() + patience; Date.now() < end; ) {
      const { status, 'error-desc': why } = await this.execute('query-migrate')
      if (status === 'failed') throw new Error(`QEMU's migration failed: ${why}: ${this.#said}`)
      if (status === 'completed' && (await this.execute('query-status')).status === state) return
      await sleep(200)
    }
    throw new Error(`QEMU's migration does not end: ${this.#said}`)
  }

  async quit() {
    const closed = once(this.#child, 'close')
    this.#child.stdin.write(`${JSON.stringify({ execute: 'quit' })}\n`)
    await closed
  }

  /** Ends it whatever it does. */
  kill() {
    this.#child.kill('SIGKILL')
  }
}

// Promise.withResolvers is there from Node 22.
const withResolvers = () => {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}
