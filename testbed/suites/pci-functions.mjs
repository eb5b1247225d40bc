// PCI functions that need more than others: virtual ones, which want a token, and those without an IOMMU.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'
import { differsMost, machines } from '../modules.mjs'

const test = (name) => ['node', '--test-reporter=tap', join(testbed, `guest/${name}.test.mjs`)]

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'tokens open virtual functions, and without an IOMMU it takes CAP_SYS_RAWIO',
  needs: ['packages', 'native', 'typescript'],
  runs: () =>
    machines.flatMap((machine) => {
      const run = { ...machine, igb: true, all: !differsMost(machine) }
      const tokens = { ...run, command: test('vf-tokens') }
      // Debian's own VFIO has no such mode.
      return machine.set === 'stock' ? [tokens] : [tokens, { ...run, iommu: false, command: test('without-iommu') }]
    }),
}
