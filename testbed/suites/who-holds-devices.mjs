// Who holds devices of real kernels, and how they pass from one program to another.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'
import { generations } from '../kernels.mjs'
import { sets } from '../modules.mjs'

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'who holds a device is seen, and devices pass from one program to another',
  needs: ['packages', 'native', 'typescript'],
  runs: () =>
    generations.flatMap((kernel) =>
      sets.map((set) => ({
        kernel,
        set,
        igb: true,
        // The two that differ most; the others with --all.
        all: (kernel === '6.12') === (set === 'hybrid'),
        command: ['node', '--test-reporter=tap', join(testbed, 'guest/who-holds-devices.test.mjs')],
      })),
    ),
}
