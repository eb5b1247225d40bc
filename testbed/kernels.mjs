// Debian's kernels: which there are, their modules as they are shipped, their headers made usable on this machine, and the
// sources of the modules that we build ourselves.
import {
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { folder, Missing } from './cache.mjs'
import { closure, dependencies, field, loader, newest, pipeFrom, unpackOnly } from './packages.mjs'

/** The generations that the library is tested on: before and after what Linux 7 added to VFIO. */
export const generations = ['6.12', '7.3']

const flavour = 'amd64'

/** The newest release of a generation: `7.3` is `7.3.4+deb13`. */
const releases = new Map()
export const release = (generation) => {
  if (!generations.includes(generation)) throw new Missing(`no kernel ${generation} here: ${generations.join(', ')}`)
  if (!releases.has(generation)) {
    const pattern = new RegExp(
      `^linux-headers-(${generation.replaceAll('.', '\\.')}\\.[0-9.]+\\+deb[0-9.]+)-${flavour}$`,
    )
    releases.set(generation, newest(`linux-headers-${generation}.`, pattern))
  }
  return releases.get(generation)
}

/** The kernel and its modules, in one package or, since 7.x, in two that this one depends on. */
export const image = (generation) => {
  const version = release(generation)
  const base = folder(`kernel-${version}`, (half) => {
    const name = `linux-image-${version}-${flavour}`
    unpackOnly([name, ...dependencies(name, /^linux-(binary|modules)-/)], half)
  })
  const kernel = [`boot/vmlinuz-${version}-${flavour}`, `usr/lib/modules/${version}-${flavour}/vmlinuz`]
    .map((path) => join(base, path))
    .find((path) => existsSync(path))
  const modules = [`usr/lib/modules/${version}-${flavour}`, `lib/modules/${version}-${flavour}`]
    .map((path) => join(base, path, 'kernel'))
    .find((path) => existsSync(path))
  if (!kernel || !modules) throw new Error(`the packages of linux ${version} do not hold what they used to`)
  return { kernel, modules }
}

/** A folder to build modules against (`make -C`). */
export const headers = (generation) => {
  const version = release(generation)
  const amd64 = `linux-headers-${version}-${flavour}`
  // The tools that come with the headers were built on a newer system than this one may be.
  const libraries = closure('libraries', ['libc6', 'libelf1t64', 'libssl3t64', 'zlib1g'])
  const base = folder(`headers-${version}`, (half) => {
    unpackOnly([amd64, `linux-headers-${version}-common`, `linux-kbuild-${version}`], half)
    const makefile = join(half, 'usr/src', amd64, 'Makefile')
    const final = half.replace(/\.half$/, '')
    writeFileSync(makefile, readFileSync(makefile, 'utf8').replaceAll('/usr/src', join(final, 'usr/src')))
    // It is only there to make BTF from, which wants one more tool, and modules are loaded without it.
    rmSync(join(half, 'usr/src', amd64, 'vmlinux'), { force: true })
    wrapTools(join(half, 'usr/lib', `linux-kbuild-${version}`), final, half, libraries)
  })
  return join(base, 'usr/src', amd64)
}

/** Lets every tool run by the loader of the libraries that it was built for. */
const wrapTools = (tools, final, half, libraries) => {
  const start = loader(libraries).join(' ')
  // Some of them only choose among variants of themselves, by their own path: they are replaced by the variant for x64.
  const variants = { modpost: 'modpost.real-lsb-64', objtool: 'objtool.real-x86' }
  const programs = readdirSync(tools, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => isElf(path))
  for (const path of programs) renameSync(path, `${path}.elf`)
  for (const path of programs) {
    const program = `${join(dirname(path), variants[basename(path)] ?? basename(path))}.elf`.replace(half, final)
    writeFileSync(path, `#!/bin/sh\nexec ${start} ${program} "$@"\n`)
    chmodSync(path, 0o755)
  }
}

const isElf = (path) => {
  const file = openSync(path, 'r')
  try {
    const magic = Buffer.alloc(4)
    return readSync(file, magic) === 4 && magic.toString('latin1') === '\x7fELF'
  } finally {
    closeSync(file)
  }
}

/** The parts of the kernel's sources that modules are built from. */
export const source = (generation) => {
  const { name, version } = sourcePackage(generation)
  return folder(`source-${version}`, (half) => {
    const parts = ['samples/vfio-mdev', 'drivers/vfio', 'drivers/iommu', 'lib/interval_tree.c']
    unpackSource(name, half, parts.map((part) => `${name}/${part}`).join(' '))
  })
}

/** All of the kernel's sources: their version, and how to unpack them into a folder. */
export const wholeSource = (generation) => {
  const { name, version } = sourcePackage(generation)
  return { version, unpack: (into) => unpackSource(name, into, '') }
}

const unpackSource = (name, into, members) =>
  pipeFrom(name, `./usr/src/${name}.tar.xz`, `tar -xJ --strip-components=1 ${members}`, into)

const sourcePackage = (generation) => {
  const name = `linux-source-${generation}`
  const version = field(name, 'Version')
  if (!version?.startsWith(release(generation).split('+')[0])) {
    throw new Missing(`Debian has linux ${release(generation)} but the source of ${version}`)
  }
  return { name, version }
}
