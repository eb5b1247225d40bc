// Builds the initramfs of a machine: busybox, the modules in the order in which they can be loaded, and a script that makes
// the host's root usable and runs the command.
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { digest, folder, run, testbed } from './cache.mjs'
import { custom, customs } from './custom.mjs'
import { image, release } from './kernels.mjs'
import { moduleName, ours, set } from './modules.mjs'
import { unpackOnly } from './packages.mjs'

/** What every machine loads: the host's root, and VFIO. */
const always = ['9pnet_virtio', '9p', 'overlay', 'vfio', 'vfio_iommu_type1']

const extension = /\.ko(\.xz|\.zst)?$/

/** Every module below a folder, by its name. */
const index = (path) => {
  const files = readdirSync(path, { recursive: true }).filter((name) => extension.test(name))
  return new Map(files.map((name) => [moduleName(name), join(path, name)]))
}

/** A module as it is loaded: not compressed. */
const content = (path) => {
  if (path.endsWith('.ko')) return readFileSync(path)
  const program = path.endsWith('.xz') ? 'xz' : 'zstd'
  return execFileSync(program, ['-dc', path], { maxBuffer: 1 << 28 })
}

/** The modules that a module says it needs. */
const needs = (bytes) => {
  const at = bytes.indexOf('\0depends=')
  if (at < 0) return []
  const from = at + '\0depends='.length
  return bytes.toString('latin1', from, bytes.indexOf(0, from)).split(',').filter(Boolean).map(moduleName)
}

/**
 * The modules to load, what they need first, without what is built in. Whatever `sets` has stands before the kernel's own module of that name: the
 * two kinds of VFIO modules must not be mixed, and a kernel may not notice it.
 */
const order = (wanted, maps, builtIn) => {
  const result = new Map()
  const visit = (name, by) => {
    if (result.has(name) || builtIn.has(name)) return
    const path = maps.find((map) => map.has(name))?.get(name)
    if (!path) throw new Error(`no module ${name} for this kernel${by ? `, which ${by} needs` : ''}`)
    const bytes = content(path)
    for (const needed of needs(bytes)) visit(needed, name)
    result.set(name, bytes)
  }
  for (const name of wanted) visit(name)
  return result
}

/** The folder of busybox, with a link for each of its commands (`insmod`, `lsmod`). */
const busybox = () =>
  folder('busybox-links', (half) => {
    unpackOnly(['busybox-static'], half)
    const program = join(half, 'usr/bin/busybox')
    mkdirSync(join(half, 'links'))
    for (const name of run(program, ['--list']).trim().split('\n'))
      symlinkSync('../usr/bin/busybox', join(half, 'links', name))
  })

/** What a machine loads, by name; `ours` stands for the project's own module. */
const wantedModules = (load, own) => {
  const names = load.flatMap((name) => {
    if (name !== 'ours') return moduleName(name)
    if (!own) throw new Error('this checkout has no testbed/module to load')
    return own.modules.map(moduleName)
  })
  return [...new Set([...always, ...names])]
}

/**
 * The initramfs of a machine, and the folder with all modules of its set, for commands that load some by themselves.
 *
 * @param {{ kernel: string, set: string, load: string[] }} machine
 */
export const initramfs = ({ kernel, set: name, load }) => {
  const chosen = set(kernel, name)
  const own = load.includes('ours') ? ours(kernel, name) : undefined
  const { others, builtIn } = shipped(kernel, name)
  const base = busybox()
  const program = join(base, 'usr/bin/busybox')
  const sets = [...(own?.modules ?? []), ...chosen.modules]
  const key = digest(recipe, init, load.join(), chosen.symbols, own?.symbols ?? '')
  const made = folder(`initramfs-${release(kernel)}-${name}-${key}`, (half) => {
    const tree = join(half, 'tree')
    for (const path of ['bin', 'modules', 'proc', 'sys', 'dev', 'host', 'overlay', 'run', 'root']) {
      mkdirSync(join(tree, path), { recursive: true })
    }
    copyFileSync(program, join(tree, 'bin/busybox'))
    chmodSync(join(tree, 'bin/busybox'), 0o755)
    symlinkSync('busybox', join(tree, 'bin/sh'))
    const maps = [new Map(sets.map((path) => [moduleName(path), path])), others]
    const all = [...order([...wantedModules(load, own)], maps, builtIn)]
    mkdirSync(join(half, 'modules'))
    for (const [module, bytes] of all) writeFileSync(join(tree, 'modules', `${module}.ko`), bytes)
    writeFileSync(join(tree, 'modules/order'), `${all.map(([module]) => module).join('\n')}\n`)
    writeFileSync(join(tree, 'init'), init)
    chmodSync(join(tree, 'init'), 0o755)
    // All that a command may want to load later, ready for insmod.
    const extra = order([...maps[0].keys()], maps, builtIn)
    for (const [module, bytes] of extra) writeFileSync(join(half, 'modules', `${module}.ko`), bytes)
    writeFileSync(join(half, 'modules/order'), `${[...extra.keys()].join('\n')}\n`)
    const pack = '"$1" find . | "$1" cpio -o -H newc 2>/dev/null | gzip -1 > ../initramfs'
    run('bash', ['-c', `set -o pipefail; ${pack}`, 'bash', program], { cwd: tree })
  })
  return { initramfs: join(made, 'initramfs'), modules: join(made, 'modules'), commands: join(base, 'links') }
}

/** The modules that come with the kernel, and the names of those that are part of it: all, in a kernel of our own. */
const shipped = (kernel, name) =>
  customs.includes(name)
    ? { others: new Map(), builtIn: new Set(custom(kernel, name).builtIn.map(moduleName)) }
    : { others: index(image(kernel).modules), builtIn: new Set() }

/** What the machine does from its first process on; what it is told stands in the share. */
const init = readFileSync(join(testbed, 'init.sh'), 'utf8')

/** The text of this file: what is built by another recipe is another thing. */
const recipe = readFileSync(new URL(import.meta.url), 'utf8')
