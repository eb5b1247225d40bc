// The addon reports what a device of our own writes to memory that another program has mapped, by whichever log works, and
// leaves alone what that program did not lend.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'

const machines = [
  { kernel: '6.12', set: 'stock', ways: ['group', 'group-tracked'] },
  { kernel: '7.3', set: 'hybrid', ways: ['group', 'cdev'] },
  { kernel: '6.12', set: 'hybrid', ways: ['group', 'cdev'], all: true },
  { kernel: '7.3', set: 'stock', ways: ['group', 'group-tracked'], all: true },
]

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'dirty pages of real devices are tracked from TypeScript',
  needs: ['packages', 'native', 'typescript'],
  programs: ['dma'],
  runs: ({ dma }) => {
    const tests = join(testbed, 'guest/dirty-pages.test.mjs')
    return machines.map(({ ways, ...machine }) => ({
      ...machine,
      load: ['ours'],
      command: [
        'sh',
        '-ec',
        ways.map((way) => `WAY=${way} "${dma}" ${way} 0 node --test-reporter=tap "${tests}"`).join('\n'),
      ],
    }))
  },
}
