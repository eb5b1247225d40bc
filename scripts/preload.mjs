// Builds the library that `vfio-migration run` preloads, and puts it where the command line looks for it.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// Elsewhere there is nothing to preload, and `run` says so.
if (process.report.getReport().header.glibcVersionRuntime === undefined) process.exit(0)

const root = fileURLToPath(new URL('..', import.meta.url))
const cargo = (args, stdout) =>
  execFileSync('cargo', args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20, stdio: ['ignore', stdout, 2] })

cargo(['build', '--release', '--package', 'vfio-migration-preload', '--lib'], 2)
const { target_directory: target } = JSON.parse(cargo(['metadata', '--format-version', '1', '--no-deps'], 'pipe'))
const name = 'libvfio_migration_preload.so'
mkdirSync(join(root, 'ts/native'), { recursive: true })
// Programs may be running with the one before: it is replaced, not written over.
copyFileSync(join(target, 'release', name), join(root, 'ts/native', `${name}.new`))
renameSync(join(root, 'ts/native', `${name}.new`), join(root, 'ts/native', name))
