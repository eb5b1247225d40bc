// Builds kernel modules: the sample driver mtty, the rebuilt VFIO ("hybrid"), and the project's own module.
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { basename, join } from 'node:path'
import { digest, folder, Missing, run, testbed } from './cache.mjs'
import { custom, customs } from './custom.mjs'
import { generations, headers, release, source } from './kernels.mjs'

/** The project's own module. */
const own = join(testbed, 'module')

/**
 * The sets of modules. `stock`: Debian's own VFIO, and mtty built for it. `hybrid`: VFIO rebuilt with what Debian leaves
 * out, which is iommufd (so also character devices and reports of DMA logs), debugfs and no-IOMMU mode.
 */
export const sets = ['stock', 'hybrid']

/** Every machine of the test bed: a kernel with a set of modules. */
export const machines = generations.flatMap((kernel) => sets.map((set) => ({ kernel, set })))

/** Whether it is one of the two machines that differ most, where the others are for `--all`. */
export const differsMost = ({ kernel, set }) => (kernel === '6.12') === (set === 'stock')

/**
 * What a set is built from: folders of the kernel's tree, and the options that Debian's configuration leaves out. `y as m`
 * is code that belongs into the kernel itself, which we cannot change: it becomes a module that says it is built in.
 */
const recipes = {
  stock: { parts: ['samples/vfio-mdev'], options: { SAMPLE_VFIO_MDEV_MTTY: 'm' } },
  hybrid: {
    parts: ['drivers/iommu/iommufd', 'drivers/vfio', 'samples/vfio-mdev'],
    options: {
      IOMMUFD: 'm',
      IOMMUFD_DRIVER: 'y as m',
      IOMMUFD_DRIVER_CORE: 'y as m',
      IOMMUFD_NOIOMMU: 'y',
      INTERVAL_TREE_SPAN_ITER: 'y',
      VFIO_DEVICE_CDEV: 'y',
      VFIO_DEBUGFS: 'y',
      VFIO_NOIOMMU: 'y',
      SAMPLE_VFIO_MDEV_MTTY: 'm',
    },
  },
}

/** The options as the compiler sees them; a kernel of our own has its own. */
const defines = (set) =>
  Object.entries(recipes[set]?.options ?? {})
    .map(([name, value]) => `-DCONFIG_${name}${value === 'm' ? '_MODULE' : ''}=1`)
    .join(' ')

/** The compiler, and what it cannot do that the kernel's one could. */
const compiler = () => {
  const cc = 'gcc'
  run(cc, ['--version'])
  const align = ['-fmin-function-alignment=16', '-x', 'c', '-c', '/dev/null', '-o', '/dev/null']
  try {
    run(cc, align)
    return [`CC=${cc}`]
  } catch (error) {
    if (error instanceof Missing) throw error
    return [`CC=${cc}`, 'CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=']
  }
}

const make = (generation, set, where, variables = []) => {
  const tree = customs.includes(set) ? custom(generation, set).tree : headers(generation)
  const args = ['-C', tree, `M=${where}`, `-j${cpus().length}`, ...compiler(), ...variables, 'modules']
  // Flags come by the environment: on the command line they would replace those of the kernel's own files.
  return run('make', args, { env: { KCFLAGS: defines(set) } })
}

/** The modules that were built below a folder, and the symbols that they offer to others. */
const built = (base) => ({
  symbols: join(base, 'Module.symvers'),
  modules: readdirSync(base, { recursive: true })
    .filter((path) => path.endsWith('.ko'))
    .map((path) => join(base, path)),
})

/** A set of modules for a kernel. */
export const set = (generation, name) => {
  if (customs.includes(name)) return { symbols: custom(generation, name).symbols, modules: [] }
  const { parts, options } = recipes[name]
  const version = release(generation)
  const base = folder(`modules-${version}-${name}-${digest(recipe, headers(generation))}`, (half) => {
    const tree = source(generation)
    for (const part of parts) cpSync(join(tree, part), join(half, part), { recursive: true })
    writeFileSync(join(half, 'Kbuild'), parts.map((part) => `obj-m += ${part}/\n`).join(''))
    if (name === 'hybrid') completeIommufd(half, tree)
    make(
      generation,
      name,
      half,
      Object.entries(options).map(([option, value]) => `CONFIG_${option}=${value.at(-1)}`),
    )
  })
  return built(base)
}

/** Gives iommufd what the kernel has in itself where iommufd is configured, and its bitmaps the licence that a module needs. */
const completeIommufd = (half, tree) => {
  const iommufd = join(half, 'drivers/iommu/iommufd')
  for (const name of readdirSync(join(tree, 'drivers/iommu')).filter((one) => one.endsWith('.h'))) {
    cpSync(join(tree, 'drivers/iommu', name), join(half, 'drivers/iommu', name))
  }
  const spans = readFileSync(join(tree, 'lib/interval_tree.c'), 'utf8')
    .split('#ifdef CONFIG_INTERVAL_TREE_SPAN_ITER')[1]
    ?.split(/^#endif/m)[0]
  if (!spans) throw new Error('lib/interval_tree.c has no span iterators where they used to be')
  const includes = '#include <linux/interval_tree.h>\n#include <linux/export.h>\n#include <linux/module.h>\n'
  writeFileSync(join(iommufd, 'interval_tree_spans.c'), includes + spans)
  const bitmap = join(iommufd, 'iova_bitmap.c')
  const text = readFileSync(bitmap, 'utf8')
  if (!text.includes('MODULE_LICENSE')) {
    writeFileSync(bitmap, `${text}\n#include <linux/module.h>\nMODULE_LICENSE("GPL");\n`)
  }
  const makefile = join(iommufd, 'Makefile')
  writeFileSync(makefile, `${readFileSync(makefile, 'utf8')}\niommufd-y += interval_tree_spans.o\n`)
}

/** The project's own module for a kernel and a set; `undefined` where the checkout has none. */
export const ours = (generation, name) => {
  const files = existsSync(own)
    ? readdirSync(own)
        .filter((file) => /\.[ch]$|^Kbuild$|^Makefile$/.test(file))
        .sort()
    : []
  if (!files.some((file) => file.endsWith('.c'))) return undefined
  const { symbols } = set(generation, name)
  const content = files.map((file) => `${file}\n${readFileSync(join(own, file), 'utf8')}`)
  const key = digest(recipe, symbols, ...content)
  const base = folder(`module-${release(generation)}-${name}-${key}`, (half) => {
    for (const file of files) cpSync(join(own, file), join(half, file))
    // A kernel of our own has the symbols of VFIO in itself.
    make(generation, name, half, customs.includes(name) ? [] : [`KBUILD_EXTRA_SYMBOLS=${symbols}`])
  })
  return built(base)
}

/** A module's name as the kernel has it. */
export const moduleName = (path) =>
  basename(path)
    .replace(/\.ko(\.xz|\.zst)?$/, '')
    .replaceAll('-', '_')

/** The text of this file: what is built by another recipe is another thing. */
const recipe = readFileSync(new URL(import.meta.url), 'utf8')
