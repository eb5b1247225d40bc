// A process dies with the device in any of its states: the kernel lives, and the device can be used.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'a process may die with the device in any state',
  needs: ['packages', 'native', 'typescript'],
  programs: ['uart', 'state'],
  runs: ({ uart, state }) =>
    ['6.12', '7.3'].map((kernel) => ({
      kernel,
      set: 'stock',
      all: kernel === '6.12',
      env: { UART: uart, STATE: state },
      command: ['node', '--test-reporter=tap', join(testbed, 'guest/killed.test.mjs')],
    })),
}
