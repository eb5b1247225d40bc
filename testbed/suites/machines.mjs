// Each machine is what the suites take it for: its kernel, its VFIO, the sample driver, a real PCI device.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'
import { machines } from '../modules.mjs'

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'each machine is what the suites take it for',
  programs: ['uart'],
  runs: ({ uart }) =>
    machines.map((machine) => ({
      ...machine,
      igb: true,
      env: { UART: uart },
      command: ['node', '--test-reporter=tap', join(testbed, 'guest/machine.test.mjs')],
    })),
}
