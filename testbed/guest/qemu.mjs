// Runs an unmodified QEMU in a machine, with an mtty as its device.
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Monitor } from '../monitor.mjs'

/** How long the monitor and a migration may take here, where the emulator is emulated; a watchdog only. */
const patience = 120_000

/** A QEMU with one device of VFIO; `arguments` are more of its own. */
export class Qemu {
  #child
  #monitor

  static async start(uuid, ...more) {
    const qemu = new Qemu(uuid, more)
    await qemu.#monitor.greet()
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
    this.#monitor = new Monitor(this.#child, { patience })
  }

  execute(command, args) {
    return this.#monitor.execute(command, args)
  }

  /** Waits until a migration has ended as it should, and the guest is in this state. */
  async migrated(state) {
    for (const end = Date.now() + patience; Date.now() < end; ) {
      const { status, 'error-desc': why } = await this.execute('query-migrate')
      if (status === 'failed') throw new Error(`QEMU's migration failed: ${why}: ${this.#monitor.said}`)
      if (status === 'completed' && (await this.execute('query-status')).status === state) return
      await sleep(200)
    }
    throw new Error(`QEMU's migration does not end: ${this.#monitor.said}`)
  }

  async quit() {
    await this.execute('quit')
    await this.#monitor.end()
  }

  /** Ends it whatever it does. */
  kill() {
    this.#child.kill('SIGKILL')
  }
}
