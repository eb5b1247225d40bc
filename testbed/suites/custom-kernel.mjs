// iommufd's own test devices, whose dirty pages are known, and our module on a kernel that looks for mistakes. The kernel is
// built here, which takes minutes: only with --all, or by name.
import { join } from 'node:path'
import { testbed } from '../cache.mjs'

const watched = join(testbed, 'guest/watched.sh')

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'page tables report what was written, and a kernel that looks for mistakes finds none in our module',
  all: true,
  needs: ['packages', 'native', 'typescript'],
  tests: ['iommufd_mock', 'kernel_module'],
  programs: ['dma', 'mark'],
  runs: ({ iommufd_mock: mock, kernel_module: tests, dma, mark }) => {
    const machine = { kernel: '6.12', load: ['ours'], watched: true, timeout: 900 }
    const fault = ['sh', '-c', 'echo READ_AFTER_FREE > /sys/kernel/debug/provoke-crash/DIRECT']
    const env = { VFIO_TEST_MOCK: 'there', VFIO_TEST_MODULE: 'loaded' }
    const lent = join(testbed, 'guest/lent-page-table.test.mjs')
    const ways = ['page-table', 'page-table-tracked'].map(
      (way) => `WAY=${way} "${dma}" ${way} 0 node --test-reporter=tap "${lent}"`,
    )
    // Without a log of its own the device has only what is lent.
    const noLog = 'echo 0 > /sys/kernel/debug/vfio-testdev/vfio-testdev.0/dma_log'
    return [
      { ...machine, set: 'custom', env, command: [watched, mock] },
      {
        ...machine,
        set: 'custom',
        env: { MARK: mark },
        command: [watched, 'sh', '-ec', [noLog, ...ways].join('\n')],
      },
      { ...machine, set: 'custom', env, command: [watched, tests] },
      // Slower, and another kernel to build.
      { ...machine, set: 'kasan', env, command: [watched, mock], memory: 2048, all: true },
      { ...machine, set: 'kasan', env, command: [watched, tests], memory: 2048, timeout: 3600, all: true },
      // What is heard of nothing proves nothing: here the kernel uses memory that it has freed, as it is told to.
      {
        ...machine,
        set: 'kasan',
        watched: false,
        provokes: /BUG: KASAN: slab-use-after-free/,
        command: fault,
        all: true,
      },
    ]
  },
}
