// No crate may depend upwards. The floors are those of CONTRIBUTING.md; a crate that stands on none is an error, so that
// whoever adds one decides where it lives.
import { execFileSync } from 'node:child_process'

const floors = {
  'vfio-migration-protocol': 1,
  'vfio-migration-model': 2,
  'vfio-migration-uapi': 2,
  'vfio-migration-simulation': 3,
  'vfio-migration-device': 3,
  'vfio-migration': 4,
  'vfio-migration-node': 5,
  'vfio-migration-preload': 5,
  benchmark: 5,
  fuzz: 5,
  testbed: 5,
}

/** Room for every crate's list of dependencies, in bytes. */
const maxBuffer = 64 << 20
const metadata = JSON.parse(
  execFileSync('cargo', ['metadata', '--format-version', '1', '--no-deps'], { maxBuffer, encoding: 'utf8' }),
)

const wrong = []
for (const { name, dependencies } of metadata.packages) {
  if (floors[name] === undefined)
    wrong.push(`${name} stands on no floor: add it to scripts/floors.mjs and CONTRIBUTING.md`)
  for (const dependency of dependencies) {
    // What a test needs is not part of the house: a test of the engine may use the model.
    if (dependency.kind === 'dev' || floors[dependency.name] === undefined) continue
    if (floors[dependency.name] >= floors[name]) {
      wrong.push(`${name} (floor ${floors[name]}) depends on ${dependency.name} (floor ${floors[dependency.name]})`)
    }
  }
}

for (const line of wrong) console.error(`floors: ${line}`)
if (wrong.length > 0) process.exit(1)
console.log(`floors: ${metadata.packages.length} crates, none depends upwards`)
