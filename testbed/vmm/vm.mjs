// A virtual machine in an unmodified QEMU, with software devices and the guest that uses them all the time.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { emulator } from '../emulators.mjs'
import { Monitor } from '../monitor.mjs'
import { bootDisk, high, known, memory, readKnown } from './guest.mjs'
import { told } from './lost-packets.mjs'

/** How long anything may take, in milliseconds: a watchdog only. */
const patience = 60_000

/** What ends a migration in QEMU's words. */
const ends = ['completed', 'failed', 'cancelled']

/** The guest's memory as `[from, length]`; what lies between is the screen's and the firmware's. */
const ram = [
  [0, 0xa_0000],
  [0x10_0000, (memory - 1) * 0x10_0000],
]

/** What lies above 4 GiB, of a guest that has something there. */
const ramAbove = [high, memory * 0x10_0000]

/** The machine, and how much memory it has, in MiB: half of it above 4 GiB, or none. */
const hardware = (machine, isHigh) => {
  const low = isHigh ? `,max-ram-below-4g=${memory}M` : ''
  return ['-M', `${machine}${low}`, '-m', `${isHigh ? 2 * memory : memory}`]
}

/** Waits until `ask()` gives something, and gives it. */
export const until = async (what, ask) => {
  for (const end = Date.now() + patience; Date.now() < end; await sleep(20)) {
    const answer = await ask()
    if (answer) return answer
  }
  throw new Error(`waited in vain: ${what}`)
}

export class Vm {
  #child
  #monitor
  #folder
  #isHigh
  /** How many devices it has, and what was done to them. */
  devices = 0
  trace

  /**
   * Starts QEMU and, unless told otherwise, the guest in it. Whoever starts one ends it: `quit` or `kill`.
   *
   * @param {object} wanted
   * @param {string} wanted.generation of QEMU
   * @param {string} wanted.name under which its files are in `folder`
   * @param {string} wanted.folder
   * @param {ReturnType<import('./devices.mjs').present>} [wanted.devices] none without it
   * @param {boolean} [wanted.paused] the guest does not run, not even when it has come here
   * @param {boolean} [wanted.incoming] a guest is going to come here
   * @param {import('./guest.mjs').Ability} [wanted.ability] what the guest can do besides
   * @param {string} [wanted.machine] of QEMU, q35 without it
   * @param {string[]} [wanted.args] more of QEMU's
   */
  static async start(wanted) {
    const vm = new Vm(wanted)
    try {
      await vm.#monitor.greet()
    } catch (error) {
      vm.kill()
      throw error
    }
    return vm
  }

  constructor({ generation, name, folder, devices, ability, machine = 'q35', ...how }) {
    const { paused = false, incoming = false, args = [] } = how
    const { command, env } = emulator(generation, { preload: devices?.preload })
    this.name = name
    this.#folder = folder
    this.#isHigh = ability === 'high'
    const boot = `driver=raw,node-name=boot,read-only=on,file.driver=file,file.filename=${bootDisk(ability)}`
    const [program, ...all] = [
      ...(devices?.launcher ?? []),
      ...command,
      ...hardware(machine, this.#isHigh),
      ...['-accel', 'tcg,tb-size=32'],
      ...['-no-user-config', '-nodefaults', '-display', 'none', '-qmp', 'stdio'],
      ...['-debugcon', `file:${this.#file('port')}`],
      ...['-blockdev', boot, '-device', 'virtio-blk-pci,drive=boot,addr=0x2'],
      ...(paused ? ['-S'] : []),
      ...(incoming ? ['-incoming', 'defer'] : []),
      ...(devices?.args ?? []),
      ...args,
    ]
    this.#child = spawn(program, all, {
      cwd: folder,
      env: { ...process.env, ...env, ...devices?.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#monitor = new Monitor(this.#child, { patience })
  }

  #file(what) {
    return join(this.#folder, `${this.name}.${what}`)
  }

  execute(command, args) {
    return this.#monitor.execute(command, args)
  }

  /** A command of the monitor for people; what it says, which is nothing if it succeeded in silence. */
  async say(line) {
    return (await this.execute('human-monitor-command', { 'command-line': line })).trim()
  }

  /** What QEMU said on standard error. */
  get said() {
    return this.#monitor.said
  }

  /** How it ended: `{ code, signal }`; undefined while it runs. */
  get ended() {
    return this.#monitor.ended
  }

  /** What the guest told its port: how many devices it found, and an E for every error. */
  get port() {
    return existsSync(this.#file('port')) ? readFileSync(this.#file('port'), 'latin1') : ''
  }

  async runState() {
    return (await this.execute('query-status')).status
  }

  /** What the guest knows. */
  async guest() {
    const words = await this.say(`xp /${known.length / 4}wx ${known.at}`)
    const values = [...words.matchAll(/0x([0-9a-f]{8})/g)].map((match) => Number.parseInt(match[1], 16))
    const registers = await this.say('info registers')
    const [rounds, interrupts] = [/EBP=([0-9a-f]{8})/, /DR0=([0-9a-f]+)/].map((one) =>
      Number.parseInt(one.exec(registers)[1], 16),
    )
    return readKnown({ rounds, interrupts }, values)
  }

  /** Waits until the guest has used its devices so many times more. */
  async works(rounds = 50) {
    const { rounds: before } = await this.guest()
    return until(`${this.name}'s guest works`, async () => {
      const now = await this.guest()
      return now.rounds >= before + rounds && now
    })
  }

  /** Waits until the guest has found this many devices and works with them. */
  async booted(devices) {
    await until(`${this.name}'s guest has booted`, () => this.port.length > 0)
    if (this.port[0] !== `${devices}`) throw new Error(`the guest found ${this.port[0]} devices instead of ${devices}`)
    return this.works()
  }

  /** The guest's memory, in the pieces that it has: where one begins, and its bytes. */
  async memoryBytes() {
    const pieces = []
    for (const [from, size] of this.#isHigh ? [...ram, ramAbove] : ram) {
      const filename = this.#file('memory')
      await this.execute('pmemsave', { val: from, size, filename })
      pieces.push({ from, bytes: readFileSync(filename) })
      rmSync(filename)
    }
    return pieces
  }

  /** Waits until it says something. */
  hears(what, ask) {
    return until(`${this.name}: ${what}`, ask)
  }

  /** Waits until the trace of its devices holds something. */
  traced(what, ask) {
    return until(`${this.name}: ${what}`, () => ask(this.trace))
  }

  async capabilities(names) {
    if (names.length === 0) return
    const capabilities = names.map((capability) => ({ capability, state: true }))
    await this.execute('migrate-set-capabilities', { capabilities })
    this.tellsOfPackets = names.includes('multifd')
    if (this.tellsOfPackets) await this.say(`log ${told}`)
  }

  /** Waits for the end of a migration: `{ status, why }`; `gone` if QEMU itself ended. */
  async migrated() {
    try {
      return await until(`${this.name} migrates`, async () => {
        const { status, 'error-desc': why } = await this.execute('query-migrate')
        return ends.includes(status) && { status, why }
      })
    } catch (error) {
      if (!this.ended) throw error
      return { status: 'gone', why: error.message }
    }
  }

  /** Waits until the guest is in one of these states. */
  reaches(...states) {
    return until(`${this.name} is ${states.join(' or ')}`, async () => {
      const state = await this.runState()
      return states.includes(state) && state
    })
  }

  async quit() {
    await this.execute('quit')
    return this.#monitor.end()
  }

  /** Waits until it has ended by itself. */
  end() {
    return this.#monitor.end()
  }

  /** Ends it whatever it does. */
  kill() {
    this.#child.kill('SIGKILL')
  }
}
