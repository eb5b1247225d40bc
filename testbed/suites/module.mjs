// The project's own module keeps the rules of the kernel's interface, moves its data, and fails as it is told to.
import { machines } from '../modules.mjs'

/** @type {import('../test.mjs').Suite} */
export default {
  what: "the project's own module keeps the kernel's rules, moves its data, and fails as it is told to",
  tests: ['kernel_module'],
  runs: ({ kernel_module: tests }) =>
    machines.map((machine) => ({
      ...machine,
      load: ['ours'],
      env: { VFIO_TEST_MODULE: 'loaded' },
      command: [tests],
    })),
}
