// Builds the addon once more, with all its system calls through libc: preloaded programs only are seen there. For tests.
import { install } from './cargo-library.mjs'

install(
  ['--package', 'vfio-migration-node', '--features', 'libc'],
  'debug/libvfio_migration_node.so',
  'ts/native/libc/vfio-migration.node',
)
