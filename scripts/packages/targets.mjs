// What is published beside the main package: one package a platform, named as napi-rs users know them.

/** The oldest glibc that the packages run on: Debian 10, RHEL 8, and all that is newer. */
export const glibcFloor = '2.28'

/**
 * @typedef {object} Target
 * @property {string} name the platform, and the ending of its package's name
 * @property {string} triple what Rust calls it
 * @property {string} cpu `process.arch` there
 * @property {'glibc' | 'musl'} libc
 * @property {number} machine its processor's number in ELF files
 */

/** @type {Target[]} */
export const targets = [
  { name: 'linux-x64-gnu', triple: 'x86_64-unknown-linux-gnu', cpu: 'x64', libc: 'glibc', machine: 62 },
  { name: 'linux-arm64-gnu', triple: 'aarch64-unknown-linux-gnu', cpu: 'arm64', libc: 'glibc', machine: 183 },
  { name: 'linux-x64-musl', triple: 'x86_64-unknown-linux-musl', cpu: 'x64', libc: 'musl', machine: 62 },
  { name: 'linux-arm64-musl', triple: 'aarch64-unknown-linux-musl', cpu: 'arm64', libc: 'musl', machine: 183 },
]

/** The library that `vfio-migration run` preloads; only programs for glibc can be served. */
export const preloadLibrary = 'libvfio_migration_preload.so'

/** The files of a platform's package that are built. */
export const filesOf = ({ name, libc }) => [
  `vfio-migration.${name}.node`,
  ...(libc === 'glibc' ? [preloadLibrary] : []),
]

/** What people install. */
export const mainPackage = 'vfio-migration'

/** The name of a platform's package. */
export const packageOf = ({ name }) => `${mainPackage}-${name}`

/** The package with the WASM, for all other systems and for browsers. */
export const wasmPackage = `${mainPackage}-wasm32-wasi`
