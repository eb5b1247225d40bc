export default {
  files: ['__test__/build/**/*.test.js'],
  // Two cores, and sessions that use both of them.
  concurrency: 2,
  // A watchdog, not a measure of speed.
  timeout: '120s',
  workerThreads: false,
}
