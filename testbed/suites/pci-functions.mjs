// PCI functions that need more than others: virtual ones, which want a token, and those without an IOMMU.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'
import { generations } from '../kernels.mjs'
import { sets } from '../modules.mjs'

const test = (name) => ['node', '--test-reporter=tap', join(testbed, `guest/${name}.test.mjs`)]

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'tokens open virtual functions, and without an IOMMU it takes CAP_SYS_RAWIO',
  needs: ['packages', 'native', 'typescript'],
  runs: () =>
    generations.flatMap((kernel) => [
      ...sets.map((set) => ({
        ...{ kernel, set, igb: true, command: test('vf-tokens') },
        all: (kernel === '6.12') !== (set === 'stock'),
      })),
      // Debian's own VFIO has no such mode.
      { kernel, set: 'hybrid', igb: true, iommu: false, command: test('without-iommu'), all: kernel === '6.12' },
    ]),
}
