// The command line finds what a host has, and refuses with a reason what it cannot serve: mtty, and a network card that has
// no migration, behind an emulated IOMMU.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'
import { differsMost, machines } from '../modules.mjs'

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'what is there is found, and what cannot be served is refused',
  needs: ['packages', 'native', 'typescript'],
  programs: ['state'],
  runs: ({ state }) =>
    machines.map((machine) => ({
      ...machine,
      igb: true,
      all: !differsMost(machine),
      env: { STATE: state },
      command: ['node', '--test-reporter=tap', join(testbed, 'guest/discovery.test.mjs')],
    })),
}
