// The QEMUs of the test bed: which there are, and how one is run without being installed.
import { join } from 'node:path'
import { Missing } from './cache.mjs'
import { closure, fromBackports, loader } from './packages.mjs'

/**
 * Where Debian has which QEMU: the last that speaks the region protocol, one of the first years of fsm, and the newest. Of
 * each it is the release's newest patch.
 */
const folders = {
  7.2: () => closure('qemu-7.2', ['qemu-system-x86'], { release: 'bookworm' }),
  '10.0': () => closure('qemu-10.0', ['qemu-system-x86'], { release: 'trixie' }),
  11.1: () => fromBackports('qemu-11.1', ['qemu-system-x86']),
}

/** The generations, from the oldest on. */
export const emulators = ['7.2', '10.0', '11.1']

/**
 * QEMU as a command that runs without being installed, with where it finds its own files: `{ command, env }`.
 *
 * @param {string} [generation] the newest unless told otherwise
 * @param {{ preload?: string }} [more] a library that is loaded before its own
 */
export const emulator = (generation = emulators.at(-1), { preload } = {}) => {
  if (!emulators.includes(generation)) throw new Missing(`no QEMU ${generation} here: ${emulators.join(', ')}`)
  const base = folders[generation]()
  const data = ['usr/share/qemu', 'usr/share/seabios', 'usr/lib/ipxe/qemu'].flatMap((path) => ['-L', join(base, path)])
  const before = preload === undefined ? [] : ['--preload', preload]
  return {
    command: [...loader(base), ...before, join(base, 'usr/bin/qemu-system-x86_64'), ...data],
    env: { QEMU_MODULE_DIR: join(base, 'usr/lib/x86_64-linux-gnu/qemu') },
  }
}
