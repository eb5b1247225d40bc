// The steps of a release, which the workflow runs one by one:
//   node scripts/release.mjs check TAG        the tag, and all that is published, name one version
//   node scripts/release.mjs pack             makes the tarballs of npm/, as they are tried and then published
//   node scripts/release.mjs publish          publishes them, those of the platforms first; what is there already is left
//   node scripts/release.mjs publish --dry-run
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { npm, pack } from './packages/layout.mjs'
import { mainPackage, packageOf, targets, wasmPackage } from './packages/targets.mjs'
import { version } from './version.mjs'

/** The packages of a release, in the order in which they are published: the one that names the others is the last. */
const names = [...targets.map(packageOf), wasmPackage, mainPackage]

const tarballOf = (name) => join(npm, `${name}-${version()}.tgz`)

const fail = (why) => {
  console.error(`release: ${why}`)
  process.exit(1)
}

const steps = {
  check(tag) {
    if (tag !== `v${version()}`)
      fail(`the tag is '${tag ?? ''}', but the version ${version()}: it must be v${version()}`)
    const { status } = spawnSync(process.execPath, ['scripts/version.mjs', '--check'], { stdio: 'inherit' })
    if (status !== 0) process.exit(1)
  },

  pack() {
    const missing = names.filter((name) => !existsSync(join(npm, name, 'package.json')))
    if (missing.length > 0) fail(`${missing.join(', ')} was not built: npm run build:platforms -- --all`)
    for (const name of readdirSync(npm).filter((one) => one.endsWith('.tgz'))) rmSync(join(npm, name))
    for (const name of names) {
      const [path, size, files] = pack(join(npm, name), npm)
      if (path !== tarballOf(name)) fail(`${path} is not of version ${version()}: build the packages again`)
      console.log(`${path}: ${files.length} files, ${(size / (1 << 20)).toFixed(2)} MiB`)
    }
  },

  publish(option) {
    const missing = names.filter((name) => !existsSync(tarballOf(name)))
    if (missing.length > 0) fail(`there is no tarball of ${missing.join(', ')}: node scripts/release.mjs pack`)
    const dry = option === '--dry-run' ? ['--dry-run'] : ['--provenance']
    for (const name of names) {
      if (published(name)) {
        console.log(`${name}@${version()} is published already`)
        continue
      }
      const args = ['publish', tarballOf(name), '--ignore-scripts', '--access', 'public', ...dry]
      // One that was published stays: a second run goes on with the others.
      if (spawnSync('npm', args, { stdio: 'inherit' }).status !== 0) fail(`${name} is not published`)
    }
  },
}

/** Whether the registry has this version. */
const published = (name) => {
  const { status, stdout } = spawnSync('npm', ['view', `${name}@${version()}`, 'version'], { encoding: 'utf8' })
  return status === 0 && stdout.trim() === version()
}

const [step, word] = process.argv.slice(2)
if (!Object.hasOwn(steps, step ?? ''))
  fail(`there is no step '${step ?? ''}': there are ${Object.keys(steps).join(', ')}`)
steps[step](word)
