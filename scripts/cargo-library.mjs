// Builds a library with cargo that only systems with glibc have a use for, and puts it where the package looks for it.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const cargo = (args, stdout) =>
  execFileSync('cargo', args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20, stdio: ['ignore', stdout, 2] })

/** Builds with `cargo build ARGS`, and copies `built`, a path below cargo's target folder, to `place`, one below ours. */
export const install = (args, built, place) => {
  if (process.report.getReport().header.glibcVersionRuntime === undefined) return
  cargo(['build', ...args], 2)
  const { target_directory: target } = JSON.parse(cargo(['metadata', '--format-version', '1', '--no-deps'], 'pipe'))
  const path = join(root, place)
  mkdirSync(dirname(path), { recursive: true })
  // Programs may be running with the one before: it is replaced, not written over.
  copyFileSync(join(target, built), `${path}.new`)
  renameSync(`${path}.new`, path)
}
