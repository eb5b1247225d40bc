// What the library declares of the kernel's interface is what a C compiler makes of each kernel's headers.
import { generations, headers } from '../kernels.mjs'

/** @type {import('../test.mjs').Suite} */
export default {
  what: "the library's structures and numbers are those of the kernels' headers",
  tests: ['headers'],
  runs: ({ headers: tests }) =>
    generations.map((kernel) => ({
      kernel,
      set: 'stock',
      env: { VFIO_MIGRATION_HEADERS: headers(kernel).replace(/-[^-]+$/, '-common/include/uapi') },
      command: [tests, '--nocapture'],
    })),
}
