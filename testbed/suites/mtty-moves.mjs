// What mtty holds moves by the command line, with the addon in the machine: by group and by cdev, between kernels, and while
// the device is taken away.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'

/** In this order each kernel restores what the other has saved: 6.12 to 7.3, and back. */
const machines = [
  { kernel: '6.12', set: 'stock' },
  { kernel: '7.3', set: 'stock' },
  { kernel: '7.3', set: 'hybrid' },
  { kernel: '6.12', set: 'hybrid' },
]

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'what mtty holds moves by the command line',
  needs: ['packages', 'native', 'typescript'],
  programs: ['uart'],
  inOrder: true,
  runs: ({ uart }) =>
    machines.map((machine) => ({
      ...machine,
      env: { UART: uart },
      command: ['sh', '-ec', ['mtty-moves', 'removed'].map(node).join('\n')],
    })),
}

const node = (name) => `node --test-reporter=tap ${join(testbed, `guest/${name}.test.mjs`)}`
