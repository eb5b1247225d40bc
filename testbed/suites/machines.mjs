// Each machine is what the suites take it for: its kernel, its VFIO, the sample driver, a real PCI device.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'
import { generations } from '../kernels.mjs'
import { sets } from '../modules.mjs'

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'each machine is what the suites take it for',
  builds: [{ package: 'testbed', bin: 'uart' }],
  runs: ({ uart }) =>
    generations.flatMap((kernel) =>
      sets.map((set) => ({
        kernel,
        set,
        igb: true,
        env: { UART: uart },
        command: ['node', '--test-reporter=tap', join(testbed, 'guest/machine.test.mjs')],
      })),
    ),
}
