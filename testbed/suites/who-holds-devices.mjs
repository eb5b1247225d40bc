// Who holds devices of real kernels, and how they pass from one program to another.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'
import { differsMost, machines } from '../modules.mjs'

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'who holds a device is seen, and devices pass from one program to another',
  needs: ['packages', 'native', 'typescript'],
  runs: () =>
    machines.map((machine) => ({
      ...machine,
      igb: true,
      all: !differsMost(machine),
      command: ['node', '--test-reporter=tap', join(testbed, 'guest/who-holds-devices.test.mjs')],
    })),
}
