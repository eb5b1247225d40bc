// Builds what a platform's package holds, for any target from any machine, always in the same way: with zig as the linker.
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { root } from '../setup.mjs'
import { byVersion, lowestGlibc, readElf } from './elf.mjs'
import { filesOf, glibcFloor, preloadLibrary } from './targets.mjs'
import { rustTarget, zigbuild } from './tools.mjs'

const targetFolder = () => {
  const metadata = execFileSync('cargo', ['metadata', '--format-version', '1', '--no-deps'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  })
  return JSON.parse(metadata).target_directory
}

/** The crate that a file of a package is built from, and what cargo calls it. */
const sourceOf = (file) =>
  file === preloadLibrary
    ? { crate: 'vfio-migration-preload', library: preloadLibrary }
    : { crate: 'vfio-migration-node', library: 'libvfio_migration_node.so' }

/**
 * Builds the files of a target into `into`.
 *
 * @throws {import('../../testbed/cache.mjs').Missing} what this machine lacks
 * @throws {Error} what does not build, or is not what the package promises
 */
export const build = (target, into) => {
  const { triple, libc } = target
  rustTarget(triple)
  const env = { ...process.env, ...zigbuild(), RUSTFLAGS: flags(libc), CARGO_PROFILE_RELEASE_STRIP: 'symbols' }
  const wanted = libc === 'glibc' ? `${triple}.${glibcFloor}` : triple
  const files = filesOf(target)
  const crates = files.flatMap((file) => ['--package', sourceOf(file).crate])
  // All in one run: what they share is built once.
  const args = ['zigbuild', '--quiet', '--release', '--locked', '--lib', ...crates, '--target', wanted]
  const built = spawnSync('cargo', args, { cwd: root, env, stdio: ['ignore', 2, 2] })
  if (built.status !== 0) throw new Error(`${files.join(' and ')} cannot be built for ${wanted}`)
  mkdirSync(into, { recursive: true })
  for (const file of files) {
    copyFileSync(join(targetFolder(), triple, 'release', sourceOf(file).library), join(into, file))
    promised(target, join(into, file))
  }
}

/** A library of musl's is loaded by a program that has musl already. What is published names no folder of whoever built it. */
const flags = (libc) => {
  const cargo = process.env.CARGO_HOME ?? join(homedir(), '.cargo')
  const names = [
    `--remap-path-prefix=${root.replace(/\/$/, '')}=/vfio-migration`,
    `--remap-path-prefix=${cargo}=/cargo`,
  ]
  return [...(libc === 'musl' ? ['-C target-feature=-crt-static'] : []), ...names].join(' ')
}

/** What every loader has, by its libc. */
const libraries = {
  glibc: /^(lib(c|m|dl|rt|pthread|gcc_s)\.so\.\d+|ld-linux-.*\.so\.\d+)$/,
  musl: /^(libc\.so|libc\.musl-.*\.so\.1|libgcc_s\.so\.1)$/,
}

/** A library asks for nothing that its package does not promise to get along with. */
export const promised = ({ name, libc, machine }, path) => {
  const elf = readElf(path)
  const lowest = lowestGlibc(elf)
  if (elf.machine !== machine) throw new Error(`${path} is for processor ${elf.machine}, ${name} is ${machine}`)
  const strange = elf.needed.filter((library) => !libraries[libc].test(library))
  if (strange.length > 0) throw new Error(`${path} needs ${strange.join(', ')}, which a system with ${libc} may lack`)
  if (libc === 'musl' && lowest !== undefined) throw new Error(`${path} asks for glibc, ${name} has none`)
  if (libc === 'glibc' && lowest !== undefined && byVersion(lowest, glibcFloor) > 0) {
    throw new Error(`${path} needs glibc ${lowest}, but ${glibcFloor} is promised`)
  }
  return { elf, lowest }
}
