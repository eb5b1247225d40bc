// The project has one version: `node scripts/version.mjs` says which; `--check` looks whether all that is published says the
// same; `node scripts/version.mjs X.Y.Z` sets it everywhere. The packages of the platforms take theirs from package.json.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path) => readFileSync(join(root, path), 'utf8')

/** Where the version stands: a file, and what stands around it there. The first place is the one that counts. */
const places = [
  ['Cargo.toml', /(\[workspace\.package\]\nversion = ")([^"]+)(")/g],
  // Crates of one release belong together: a crate takes no other version of its neighbours.
  ['Cargo.toml', /(\nvfio-migration\S* = \{ path = "[^"]+", version = "=)([^"]+)(")/g],
  ['Cargo.lock', /(\[\[package\]\]\nname = "(?:vfio-migration\S*|benchmark|fuzz|testbed)"\nversion = ")([^"]+)(")/g],
  ['package.json', /^(\{\n {2}"name": "vfio-migration",\n {2}"version": ")([^"]+)(")/g],
  ['ts/version.ts', /(packageVersion = ')([^']+)(')/g],
  ['package-lock.json', /^(\{\n {2}"name": "vfio-migration",\n {2}"version": ")([^"]+)(")/g],
  ['package-lock.json', /(\n {4}"": \{\n {6}"name": "vfio-migration",\n {6}"version": ")([^"]+)(")/g],
]

const found = () =>
  places.flatMap(([path, pattern]) => {
    const versions = [...read(path).matchAll(pattern)].map((match) => match[2])
    return versions.length > 0 ? versions.map((version) => ({ path, version })) : [{ path, version: 'none' }]
  })

const check = () => {
  const [{ version }, ...others] = found()
  const wrong = others
    .filter((place) => place.version !== version)
    .map((place) => `${place.path} says ${place.version}, but Cargo.toml ${version}`)
  const { packages } = JSON.parse(
    execFileSync('cargo', ['metadata', '--format-version', '1', '--no-deps'], {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 64 << 20,
    }),
  )
  for (const one of packages) {
    if (one.version !== version) wrong.push(`the crate ${one.name} is ${one.version}, but the workspace ${version}`)
    for (const { name, path, req } of one.dependencies) {
      if (path && req !== `=${version}`) wrong.push(`the crate ${one.name} wants ${name} ${req}, not =${version}`)
    }
    if (one.publish?.length === 0) continue
    for (const field of ['description', 'license', 'repository', 'readme']) {
      if (!one[field]) wrong.push(`the crate ${one.name} is published, but has no ${field}`)
    }
  }
  if (!read('CHANGELOG.md').includes(`\n## ${version}`)) wrong.push(`CHANGELOG.md has no section "## ${version}"`)
  for (const line of wrong) console.error(`version: ${line}`)
  if (wrong.length > 0) process.exit(1)
  console.log(`version: ${version}, everywhere the same (${others.length + 1} places, ${packages.length} crates)`)
}

const set = (version) => {
  for (const [path, pattern] of places) {
    writeFileSync(join(root, path), read(path).replace(pattern, `$1${version}$3`))
  }
  check()
}

/** The version of all that is published from this checkout. */
export const version = () => found()[0].version

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [wanted] = process.argv.slice(2)
  if (wanted === undefined) console.log(version())
  else if (wanted === '--check') check()
  else if (/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(wanted)) set(wanted)
  else {
    console.error(`version: '${wanted}' is no version: give one such as 1.2.3, or --check`)
    process.exitCode = 2
  }
}
