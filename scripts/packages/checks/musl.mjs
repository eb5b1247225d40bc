// The crates' own tests as programs for musl: static, so that they run on any Linux.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { root } from '../../setup.mjs'
import { arm64, rustTarget } from '../tools.mjs'

const crates = ['protocol', 'model', 'uapi', 'device', 'simulation'].map((name) => `vfio-migration-${name}`)

/** What an emulated program cannot do, by the test that wants it. */
const notEmulated = {
  two_processes_move_a_device: 'its program starts itself',
  a_process_that_may_open_no_more_says_so: 'its program starts itself',
  the_program_sends_too_many_and_none_of_them_stays_open:
    'the emulator keeps descriptors that do not fit into a message',
  an_fd_of_another_kind_is_refused: "the emulator knows none of VFIO's calls",
}

/** How long all tests of a target may take, in milliseconds: a test that hangs is a failure. */
const patience = 60 * 60_000

const check = (triple, runner) => ({
  what: `the crates' tests pass as programs of ${triple}`,
  rare: true,
  run() {
    rustTarget(triple)
    const name = triple.toUpperCase().replaceAll('-', '_')
    // Rust brings all of musl that a static program needs: its own linker does.
    const env = { [`CARGO_TARGET_${name}_LINKER`]: 'rust-lld' }
    const [emulator, without] = [runner(), []]
    if (emulator.length > 0) {
      env[`CARGO_TARGET_${name}_RUNNER`] = emulator.join(' ')
      without.push('--', ...Object.keys(notEmulated).flatMap((test) => ['--skip', test]))
      for (const [test, why] of Object.entries(notEmulated)) {
        console.error(`packages: left out on ${triple}: ${test}: ${why}`)
      }
    }
    const packages = [...crates, 'vfio-migration'].flatMap((one) => ['--package', one])
    const { status, error, stdout, stderr } = spawnSync(
      'cargo',
      ['test', '--quiet', '--no-fail-fast', '--target', triple, '--lib', '--tests', ...packages, ...without],
      { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, timeout: patience, env: { ...process.env, ...env } },
    )
    const passed = [...stdout.matchAll(/^test result: ok\. (\d+) passed/gm)].reduce((sum, [, count]) => sum + +count, 0)
    console.error(`packages: ${passed} tests passed on ${triple}`)
    assert.equal(status, 0, `${error?.message ?? ''}${stdout}${stderr}`)
    assert.ok(passed > 0, 'no test ran')
  },
})

export default [
  check('x86_64-unknown-linux-musl', () => (process.arch === 'x64' ? [] : ['false'])),
  check('aarch64-unknown-linux-musl', arm64),
]
