// A machine of the test bed: QEMU with a kernel and a set of modules, in which one command runs.
import { spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { cache, Missing } from './cache.mjs'
import { custom, customs } from './custom.mjs'
import { emulator } from './emulators.mjs'
import { initramfs } from './initramfs.mjs'
import { image } from './kernels.mjs'

/** How long a machine may take, in seconds, unless told otherwise. */
export const defaultTimeout = 300

/** A word as a shell reads it back. */
const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`

const hardware = ({ memory, igb, iommu, bridge }) => [
  // Software emulation only: where a guest can be run by the processor itself the times would not compare.
  ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', String(memory)],
  ...['-machine', igb ? 'q35,kernel-irqchip=split' : 'q35', '-no-user-config', '-nodefaults', '-display', 'none'],
  ...['-no-reboot', '-monitor', 'none'],
  // A real PCI device with real DMA that has no migration.
  ...(igb && iommu ? ['-device', 'intel-iommu,intremap=on'] : []),
  ...(igb ? ['-device', 'igb,id=igb0,addr=0x4'] : []),
  // Two devices that the IOMMU cannot tell from one another: a conventional bus has no addresses of its own.
  ...(bridge ? behindBridge : []),
]

const behindBridge = [
  ...['-device', 'pcie-pci-bridge,id=bridge,addr=0x5'],
  ...['-device', 'e1000,bus=bridge,addr=0x1,romfile='],
  ...['-device', 'virtio-rng-pci,bus=bridge,addr=0x2'],
]

const p9 = (tag, path, more) => [
  ...['-fsdev', `local,id=${tag},path=${path},security_model=none,multidevs=remap${more}`],
  ...['-device', `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`],
]

/**
 * Runs a command as root in a machine, and gives back its exit status and what it printed.
 *
 * @param {object} machine
 * @param {string} machine.kernel the generation: `6.12` or `7.3`
 * @param {string} machine.set `stock`, `hybrid`, or a kernel of our own: `custom`, `kasan`
 * @param {string[]} machine.load modules to load beside VFIO; `ours` is the project's own
 * @param {boolean} [machine.igb] whether there is an `igb` behind an IOMMU, bound to vfio-pci
 * @param {boolean} [machine.iommu] false: no IOMMU is there, so that vfio-pci does not take the `igb` by itself
 * @param {boolean} [machine.bridge] with `igb`: whether there is a network card that vfio-pci has and that shares its IOMMU
 *   group with a source of random numbers, which a driver of the kernel's own has
 * @param {number} [machine.memory] MiB
 * @param {number} [machine.timeout] seconds after which the machine is switched off
 * @param {Record<string, string>} [machine.env] variables for the command
 * @param {string} [machine.cwd] where the command starts
 * @param {string} [machine.share] a folder of the host that the machine may write to; without it one is made and removed
 * @param {(stream: 'stdout' | 'stderr', bytes: Buffer) => void} [machine.output] is given what is printed at once
 * @param {string[]} command
 */
export const runIn = async (machine, command) => {
  const load = machine.igb ? [...machine.load, 'vfio_pci'] : machine.load
  const own = customs.includes(machine.set)
  const { kernel } = own ? custom(machine.kernel, machine.set) : image(machine.kernel)
  const built = initramfs({ kernel: machine.kernel, set: machine.set, load })
  const { command: program, env } = emulator()
  mkdirSync(join(cache, 'runs'), { recursive: true })
  const run = mkdtempSync(join(cache, 'runs/run-'))
  const share = machine.share ?? run
  const variables = {
    HOME: '/root',
    LANG: 'C.UTF-8',
    PATH: `${process.env.PATH}:${built.commands}`,
    TESTBED_KERNEL: machine.kernel,
    TESTBED_MODULES: built.modules,
    TESTBED_SET: machine.set,
    TESTBED_SHARE: share,
    ...machine.env,
  }
  const exports = Object.entries(variables).map(([name, value]) => `export ${name}=${quote(value)}\n`)
  const script = `${exports.join('')}cd ${quote(machine.cwd ?? process.cwd())}\nexec ${command.map(quote).join(' ')}\n`
  writeFileSync(join(run, 'command'), script)
  writeFileSync(join(run, 'path'), run)
  writeFileSync(join(run, 'shared'), share)
  // The kernel's check of the timer takes a host that is too busy to emulate in time for broken hardware.
  const { igb, iommu = true, bridge } = machine
  const append = 'console=ttyS0 loglevel=4 panic=-1 oops=panic log_buf_len=8M no_timer_check'
  const args = [
    ...program.slice(1),
    ...hardware({ memory: machine.memory ?? 1024, igb, iommu, bridge }),
    ...['-kernel', kernel, '-initrd', built.initramfs],
    ...['-append', igb && iommu ? `${append} intel_iommu=on` : append],
    ...['-serial', `file:${join(run, 'console')}`],
    ...p9('host', '/', ',readonly=on'),
    ...p9('run', run, ''),
    ...(share === run ? [] : p9('share', share, '')),
  ]
  try {
    const ended = await watch(
      spawn(program[0], args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }),
      {
        run,
        timeout: machine.timeout ?? defaultTimeout,
        output: machine.output ?? (() => {}),
      },
    )
    const text = (name) => (existsSync(join(run, name)) ? readFileSync(join(run, name), 'utf8') : '')
    const status = text('status') === '' ? undefined : Number(text('status'))
    return {
      /** The command's exit status; `undefined` if the machine ended before the command did, and then `why`. */
      status,
      why: status === undefined ? (ended ?? 'the machine stopped by itself: its kernel failed') : undefined,
      stdout: text('stdout'),
      stderr: text('stderr'),
      /** The kernel's log, or what there is of it where the machine failed. */
      log: text('dmesg') || text('console'),
    }
  } finally {
    rmSync(run, { recursive: true, force: true })
  }
}

/** Waits for a machine to end, handing on what its command prints; says why it was ended by us. */
const watch = (child, { run, timeout, output }) => {
  const tails = ['stdout', 'stderr'].map((name) => tail(join(run, name), (bytes) => output(name, bytes)))
  const follow = () => {
    for (const step of tails) step()
  }
  let said = ''
  let why
  child.stdout.on('data', (bytes) => {
    said += bytes
  })
  child.stderr.on('data', (bytes) => {
    said += bytes
  })
  const stop = (reason) => {
    why ??= reason
    child.kill('SIGKILL')
  }
  const interrupted = () => stop('interrupted')
  const timer = setTimeout(() => stop(`it took longer than ${timeout} s`), timeout * 1000)
  const ticks = setInterval(follow, 100)
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  return new Promise((resolve, reject) => {
    const done = (finish) => {
      clearTimeout(timer)
      clearInterval(ticks)
      process.off('SIGINT', interrupted)
      process.off('SIGTERM', interrupted)
      follow()
      finish()
    }
    child.on('error', (error) => done(() => reject(new Missing(`QEMU cannot be started: ${error.message}`))))
    child.on('close', (code) => {
      done(() => resolve(why ?? (code === 0 ? undefined : `QEMU ended with ${code}: ${said.trim()}`)))
    })
  })
}

/** Reads on in a file that grows. */
const tail = (path, give) => {
  let at = 0
  return () => {
    if (!existsSync(path)) return
    const file = openSync(path, 'r')
    try {
      const buffer = Buffer.alloc(1 << 16)
      for (let count = readSync(file, buffer, 0, buffer.length, at); count > 0; ) {
        give(Buffer.from(buffer.subarray(0, count)))
        at += count
        count = readSync(file, buffer, 0, buffer.length, at)
      }
    } finally {
      closeSync(file)
    }
  }
}
