// Builds kernels of our own from Debian's source: a small configuration with what no distribution ships, which is iommufd's
// own test devices, and checks that look for mistakes in kernel code. All is built in but the project's own module.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { digest, folder, run, testbed } from './cache.mjs'
import { wholeSource } from './kernels.mjs'
import { unpackOwn } from './packages.mjs'

/**
 * What KASAN looks at, beside our module: every access to memory by these parts of the kernel, whose memory our module
 * shares. The rest is built without, which is several times as fast, to build and to run; its heap is watched all the same,
 * so that what it frees twice is seen.
 */
const sanitized = ['drivers/vfio', 'drivers/iommu', 'drivers/iommu/iommufd', 'drivers/misc/lkdtm', 'fs/debugfs']

/** The kernels by name: the files of `custom/` that each is made of, beside `allnoconfig`, and variables for its `make`. */
const recipes = {
  custom: { files: ['fragment'], variables: [] },
  // Looked at for each file, in the folder where it lies.
  kasan: {
    files: ['fragment', 'kasan'],
    variables: [`KASAN_SANITIZE=$(if $(filter ${sanitized.join(' ')},$(obj)),y,n)`],
  },
}

/** Names that stand where others say `stock` or `hybrid`. */
export const customs = Object.keys(recipes)

/** What the kernel's build wants beside a compiler; it is linked with programs that run here, so it is of this release. */
const wanted = ['flex', 'bison', 'm4', 'libelf-dev', 'libelf1']

/** What nobody needs who builds a module for the kernel. */
const superfluous = ['Documentation', 'LICENSES', 'block', 'crypto', 'drivers', 'fs', 'net', 'rust', 'samples', 'sound']

/** The tools, as variables of make and of the environment. */
const tools = () => {
  const base = folder(`kernel-tools-${digest(...wanted)}`, (half) => unpackOwn(wanted, half))
  const libraries = join(base, 'usr/lib/x86_64-linux-gnu')
  return {
    variables: [
      `HOSTCFLAGS=-I${join(base, 'usr/include')}`,
      `HOSTLDFLAGS=-L${libraries} -Wl,-rpath,${libraries} -Wl,-rpath,/usr/lib/x86_64-linux-gnu`,
    ],
    env: {
      PATH: `${join(base, 'usr/bin')}:${process.env.PATH}`,
      M4: join(base, 'usr/bin/m4'),
      BISON_PKGDATADIR: join(base, 'usr/share/bison'),
    },
  }
}

/** Options that the kernel's own rules have dropped. */
const dropped = (asked, config) => {
  const lines = new Set(config.split('\n'))
  return asked.split('\n').filter((line) => line.startsWith('CONFIG_') && !lines.has(line))
}

/**
 * A kernel: the file to boot, the folder to build modules against (`make -C`), and the names of all that is built in.
 *
 * @param {string} generation
 * @param {string} name one of `customs`
 */
export const custom = (generation, name) => {
  const recipe = recipes[name]
  const asked = recipe.files.map((file) => readFileSync(join(testbed, 'custom', file), 'utf8')).join('')
  const { version, unpack } = wholeSource(generation)
  const base = folder(`custom-${version}-${name}-${digest(asked, ...recipe.variables)}`, (half) => {
    unpack(half)
    const { variables, env } = tools()
    const make = (...args) => run('make', ['-s', `-j${cpus().length}`, ...variables, ...args], { cwd: half, env })
    writeFileSync(join(half, '.asked'), asked)
    make('KCONFIG_ALLCONFIG=.asked', 'allnoconfig')
    const gone = dropped(asked, readFileSync(join(half, '.config'), 'utf8'))
    if (gone.length > 0)
      throw new Error(`linux ${version} cannot have ${gone.join(', ')} with what testbed/custom asks`)
    make(...recipe.variables, 'bzImage', 'modules')
    for (const part of superfluous) rmSync(join(half, part), { recursive: true, force: true })
    const objects = readdirSync(half, { recursive: true }).filter((path) => /\.(o|a)$|^vmlinux/.test(path))
    for (const path of objects) rmSync(join(half, path), { recursive: true, force: true })
  })
  return {
    kernel: join(base, 'arch/x86/boot/bzImage'),
    tree: base,
    symbols: join(base, 'Module.symvers'),
    builtIn: readFileSync(join(base, 'modules.builtin'), 'utf8').split('\n').filter(Boolean),
  }
}
