// An unmodified QEMU 11 migrates mtty on a real kernel, and its device data go through us and back. The emulator runs in an
// emulated machine, which takes its time.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'
import { emulator } from '../emulators.mjs'
import { generations } from '../kernels.mjs'

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'QEMU and we understand one another’s device data',
  needs: ['packages', 'native', 'typescript'],
  programs: ['uart'],
  runs: ({ uart }) =>
    generations.flatMap((kernel) =>
      ['stock', 'hybrid'].map((set) => ({
        kernel,
        set,
        timeout: 600,
        memory: 1536,
        // One machine in every run, all of them where there is time.
        all: !(kernel === '7.3' && set === 'stock'),
        env: { UART: uart, QEMU: JSON.stringify(emulator()) },
        command: ['node', '--test-reporter=tap', join(testbed, 'guest/qemu.test.mjs')],
      })),
    ),
}
