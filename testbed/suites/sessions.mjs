// Whole sessions on the project's own module, sound and failing at either end, by the addon in the machine.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'
import { generations } from '../kernels.mjs'
import { sets } from '../modules.mjs'

const tests = ['sessions', 'failures', 'handed-over']

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'sessions end as the table of failures says, whatever the driver does',
  needs: ['packages', 'native', 'typescript'],
  runs: () =>
    generations.flatMap((kernel) =>
      sets.map((set) => ({
        kernel,
        set,
        load: ['ours'],
        // The two that differ most; the others with --all.
        all: (kernel === '6.12') === (set === 'hybrid'),
        command: [
          'sh',
          '-c',
          tests
            .map((name) => `${node(name)} || failed=1`)
            .join('; ')
            .concat('; exit $failed'),
        ],
      })),
    ),
}

const node = (name) => `node --test-reporter=tap ${join(testbed, `guest/${name}.test.mjs`)}`
