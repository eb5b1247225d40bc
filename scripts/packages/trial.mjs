// Tries what was built for a platform, as far as this machine can: in a Node where there is one, else in the platform's C
// library alone.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Missing, run } from '../../testbed/cache.mjs'
import { readElf } from './elf.mjs'
import { arm64, muslLibrary, node, zigbuild } from './tools.mjs'

/**
 * Loads the addon of a target.
 *
 * @returns {string} how it was tried, for people
 * @throws {Missing} what is missing to try it
 * @throws {Error} how it failed
 */
export const tried = (target, addon, version) =>
  target.libc === 'musl' ? triedWithMusl(target, addon) : triedInNode(target, addon, version)

const triedInNode = ({ cpu }, addon, version) => {
  const here = cpu === process.arch
  const command = here ? [process.execPath] : cpu === 'arm64' ? [...arm64(), node(22, cpu)] : undefined
  if (command === undefined) throw new Missing(`nothing here runs programs for ${cpu}`)
  const script = 'console.log(process.version, require(process.argv[1]).version())'
  const { status, stdout, stderr, signal } = spawnSync(command[0], [...command.slice(1), '-e', script, addon], {
    encoding: 'utf8',
  })
  const [which, said] = stdout.trim().split(' ')
  if (status !== 0) throw new Error(`Node does not load ${addon}: ${signal ?? stderr.trim()}`)
  if (said !== version) throw new Error(`${addon} says that it is ${said}, but ${version} was built`)
  return `loaded by Node ${which.slice(1)}${here ? '' : ', emulated'}`
}

/** What libgcc_s gives, which every musl system with a Node has: its libstdc++ needs it. */
const unwinder = /^_Unwind_/

/** There is no Node for musl to be had: its loader loads the addon, or the names are compared. */
const triedWithMusl = ({ cpu }, addon) => {
  const library = muslLibrary()
  const { given } = readElf(library)
  const { asked } = readElf(addon)
  const lacks = [...asked.keys()].filter((name) => !given.has(name) && !unwinder.test(name))
  if (lacks.length > 0) throw new Error(`${addon} asks for what musl lacks: ${lacks.join(', ')}`)
  if (cpu !== 'x64' || process.arch !== 'x64') return `its ${asked.size} symbols are in musl`
  return `loaded by ${loadedByMusl(addon, library)}, without a Node`
}

/** Has a small program, which musl's loader runs, load the addon with all its symbols; returns musl's version. */
const loadedByMusl = (addon, library) => {
  const folder = mkdtempSync(join(tmpdir(), 'vfio-migration-musl-'))
  try {
    writeFileSync(
      join(folder, 'load.c'),
      `#include <dlfcn.h>
#include <stdio.h>
int main(int count, char **words)
{
    void *addon = count == 2 ? dlopen(words[1], RTLD_NOW | RTLD_GLOBAL) : 0;
    if (!addon) return fprintf(stderr, "%s\\n", dlerror()), 1;
    return dlsym(addon, "napi_register_module_v1") ? 0 : 2;
}
`,
    )
    const { PATH } = zigbuild()
    const zig = ['-m', 'ziglang', 'cc', '-target', 'x86_64-linux-musl', '-dynamic', '-o', 'load', 'load.c']
    run('python3', zig, { cwd: folder, env: { PATH } })
    run(library, [join(folder, 'load'), addon])
    const { stderr } = spawnSync(library, [], { encoding: 'utf8' })
    return `musl ${stderr.match(/^Version (\S+)/m)?.[1] ?? ''}`.trim()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
