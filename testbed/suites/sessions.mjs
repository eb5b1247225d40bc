// Whole sessions on the project's own module, sound and failing at either end, by the addon in the machine.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'
import { differsMost, machines } from '../modules.mjs'

const tests = ['sessions', 'failures', 'handed-over']

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'sessions end as the table of failures says, whatever the driver does',
  needs: ['packages', 'native', 'typescript'],
  runs: () =>
    machines.map((machine) => ({
      ...machine,
      load: ['ours'],
      all: !differsMost(machine),
      command: ['sh', '-c', `failed=0; ${tests.map((name) => `${node(name)} || failed=1`).join('; ')}; exit $failed`],
    })),
}

const node = (name) => `node --test-reporter=tap ${join(testbed, `guest/${name}.test.mjs`)}`
