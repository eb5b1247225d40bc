// The backend on the sample driver: every way to a device, every arc, and descriptors that run out.
import { generations } from '../kernels.mjs'
import { sets } from '../modules.mjs'

/** @type {import('../test.mjs').Suite} */
export default {
  what: 'the backend drives a device of the kernel',
  builds: [{ package: 'vfio-migration-device', test: 'kernel_mtty' }],
  runs: ({ kernel_mtty }) =>
    generations.flatMap((kernel) =>
      sets.map((set) => ({ kernel, set, load: ['mtty'], command: [kernel_mtty, '--test-threads=1'] })),
    ),
}
