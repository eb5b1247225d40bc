// Builds the addon once more, with all its system calls through libc: preloaded programs only are seen there. For tests.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

if (process.report.getReport().header.glibcVersionRuntime === undefined) process.exit(0)

const root = fileURLToPath(new URL('..', import.meta.url))
const cargo = (args, stdout) =>
  execFileSync('cargo', args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20, stdio: ['ignore', stdout, 2] })

cargo(['build', '--package', 'vfio-migration-node', '--features', 'libc'], 2)
const { target_directory: target } = JSON.parse(cargo(['metadata', '--format-version', '1', '--no-deps'], 'pipe'))
mkdirSync(join(root, 'ts/native/libc'), { recursive: true })
copyFileSync(join(target, 'debug/libvfio_migration_node.so'), join(root, 'ts/native/libc/vfio-migration.node'))
