// Builds the library that `vfio-migration run` preloads, and puts it where the command line looks for it. Elsewhere than on
// glibc there is nothing to preload, and `run` says so.
import { install } from './cargo-library.mjs'

const name = 'libvfio_migration_preload.so'
install(['--release', '--package', 'vfio-migration-preload', '--lib'], `release/${name}`, `ts/native/${name}`)
