// What building and trying for other platforms needs beside Node and Rust. All of it comes from package sources, lies in the
// cache of the test bed and is installed nowhere; where a part cannot be had, `Missing` says so.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { digest, folder, Missing, run } from '../../testbed/cache.mjs'
import { closure, unpackOnly } from '../../testbed/packages.mjs'

/** A linker and C library for every target, and the cargo command that uses them. */
const zig = ['ziglang==0.15.2', 'cargo-zigbuild==0.24.1']

/** A folder of Python's with packages from PyPI. */
const venv = (name, packages) =>
  folder(`${name}-${digest(...packages)}`, (half) => {
    const python = spawnSync('python3', ['-m', 'venv', '--copies', half], { encoding: 'utf8' })
    if (python.status !== 0) throw new Missing(`${name} comes from PyPI, but python3 -m venv does not work here`)
    try {
      run(join(half, 'bin/python3'), ['-m', 'pip', 'install', '--quiet', ...packages])
    } catch (error) {
      throw new Missing(`PyPI does not give ${packages.join(' and ')}: ${lastLine(error)}`)
    }
  })

/** The environment in which `cargo zigbuild` works. */
export const zigbuild = () => {
  const base = venv('zig', zig)
  return { PATH: `${join(base, 'bin')}:${process.env.PATH}`, CARGO_ZIGBUILD_PYTHON_PATH: join(base, 'bin/python3') }
}

/** The program that looks for mistakes in workflows. */
export const zizmor = () => join(venv('zizmor', ['zizmor==1.32.0']), 'bin/zizmor')

/** Has Rust's standard library for a target. */
export const rustTarget = (triple) => {
  const given = spawnSync('rustup', ['target', 'add', triple], { encoding: 'utf8' })
  if (given.status === 0) return
  const why = given.error ? 'there is no rustup' : given.stderr.trim().split('\n').at(-1)
  throw new Missing(`Rust's standard library for ${triple} cannot be had: ${why}`)
}

/** The command that runs programs for arm64 with glibc here. */
export const arm64 = () => {
  if (process.arch === 'arm64') return []
  const packages = ['qemu-user-static', 'libc6-arm64-cross', 'libstdc++6-arm64-cross', 'libatomic1-arm64-cross']
  const base = closure('arm64', packages, { release: 'bookworm' })
  return [join(base, 'usr/bin/qemu-aarch64-static'), '-L', join(base, 'usr/aarch64-linux-gnu')]
}

/** musl's C library, as Debian has it for this machine. */
export const muslLibrary = () => {
  const base = folder('musl', (half) => unpackOnly(['musl'], half))
  return join(base, 'usr/lib/x86_64-linux-musl/libc.so')
}

/** A Node of another version or for another processor, as npm has them: the path of its program. */
export const node = (major, cpu = process.arch) => {
  const name = `node-linux-${cpu}`
  const base = folder(`${name}-${major}`, (half) => {
    try {
      // As it is: installing it would refuse another processor.
      run('npm', ['pack', '--silent', '--pack-destination', half, `${name}@${major}`], { cwd: half })
    } catch (error) {
      throw new Missing(`npm does not give ${name}@${major}: ${lastLine(error)}`)
    }
    run('bash', ['-c', 'tar -xzf *.tgz && rm *.tgz'], { cwd: half })
  })
  const program = join(base, 'package/bin/node')
  if (!existsSync(program)) throw new Missing(`${name}@${major} has no bin/node`)
  return program
}

const lastLine = (error) => error.message.trim().split('\n').at(-1)
