// The backend on the sample driver (every way to a device, every arc, descriptors that run out), and on the project's own
// module, which fails and blocks as it is told to.
import { machines } from '../modules.mjs'

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'the backend drives devices of the kernel, sound ones and others',
  tests: ['kernel_mtty', 'kernel_faults', 'kernel_blocks'],
  runs: (tests) =>
    machines.map((machine) => ({
      ...machine,
      load: ['mtty', 'ours'],
      env: { VFIO_TEST_MODULE: 'loaded' },
      command: [
        'sh',
        '-ec',
        Object.values(tests)
          .map((test) => `${test} --test-threads=1`)
          .join('\n'),
      ],
    })),
}
