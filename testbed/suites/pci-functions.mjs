// PCI functions that need more than others: virtual ones, which want a token, those without an IOMMU, and those that share
// their IOMMU group.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'
import { differsMost, machines } from '../modules.mjs'

const test = (name) => ['node', '--test-reporter=tap', join(testbed, `guest/${name}.test.mjs`)]

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'tokens open virtual functions, without an IOMMU it takes CAP_SYS_RAWIO, and groups are opened whole',
  needs: ['packages', 'native', 'typescript'],
  runs: () =>
    machines.flatMap((machine) => {
      const run = { ...machine, igb: true, all: !differsMost(machine) }
      const sound = [
        { ...run, command: test('vf-tokens') },
        { ...run, bridge: true, command: test('shared-group') },
      ]
      // Debian's own VFIO has no such mode.
      return machine.set === 'stock' ? sound : [...sound, { ...run, iommu: false, command: test('without-iommu') }]
    }),
}
