// The folders below npm/ that become packages: the main one, one for each platform, and the one with the WASM.
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../setup.mjs'
import { filesOf, mainPackage, packageOf, targets, wasmPackage } from './targets.mjs'

/** Where the packages lie that are to be published, each in a folder of its name. */
export const npm = join(root, 'npm')

const manifest = () => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const writeManifest = (place, content) =>
  writeFileSync(join(place, 'package.json'), `${JSON.stringify(content, undefined, 2)}\n`)

/** An empty folder for a package. */
const fresh = (name, into) => {
  const place = join(into, name)
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  return place
}

const about = (name, what) => `# ${name}
${what} for [vfio-migration](https://www.npmjs.com/package/vfio-migration), which moves the state of VFIO devices from one host to
another. It is installed with that package and always has its version: nothing is to be done with it alone.

Licence: Apache-2.0.
`

/** Lays the package of a platform into a folder, with the files that were built for it in the folder `built`. */
export const layPlatform = (target, built, into) => {
  const { version, license, repository, keywords, engines } = manifest()
  const { name, cpu, libc } = target
  const place = fresh(packageOf(target), into)
  const files = filesOf(target)
  writeManifest(place, {
    name: packageOf(target),
    version,
    description: `The native addon of vfio-migration for ${name}`,
    keywords,
    license,
    repository,
    engines,
    os: ['linux'],
    cpu: [cpu],
    libc: [libc],
    main: files[0],
    files,
    // Package managers that keep packages zipped must unpack what a loader is to map.
    preferUnplugged: true,
  })
  for (const file of files) copyFileSync(join(built, file), join(place, file))
  copyFileSync(join(root, 'LICENSE'), join(place, 'LICENSE'))
  writeFileSync(join(place, 'README.md'), about(packageOf(target), `The native addon (${name})`))
  return place
}

/** Lays the package with the WASM, if it was built. */
export const layWasm = (into) => {
  const built = join(root, 'ts/native/wasm')
  if (!existsSync(join(built, 'package.json'))) return undefined
  const place = fresh(wasmPackage, into)
  cpSync(built, place, { recursive: true })
  copyFileSync(join(root, 'LICENSE'), join(place, 'LICENSE'))
  writeFileSync(join(place, 'README.md'), about(wasmPackage, 'The WASM'))
  return place
}

/**
 * Lays the main package out of what was built of the checkout. It names its platforms here and not in the checkout, where
 * `npm ci` would look for packages that no registry has yet; the package with the WASM only where it is there (`wasm`).
 */
export const layMain = (into, { wasm }) => {
  const place = fresh(mainPackage, into)
  const scratch = mkdtempSync(join(into, '.main-'))
  try {
    // What belongs in says npm itself, by "files".
    const [tarball] = pack(root, scratch)
    const unpacked = spawnSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', place], {
      stdio: ['ignore', 2, 2],
    })
    if (unpacked.status !== 0) throw new Error(`${tarball} cannot be unpacked`)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  const { scripts: _, devDependencies: __, napi: ___, ...published } = manifest()
  const { version } = published
  writeManifest(place, {
    ...published,
    // For every system, and for those that leave optional packages out; the addon comes before it where there is one.
    ...(wasm ? { dependencies: { ...published.dependencies, [wasmPackage]: version } } : {}),
    optionalDependencies: Object.fromEntries(targets.map((target) => [packageOf(target), version])),
  })
  return place
}

/** Makes the tarball of a folder, as `npm publish` would, and returns its path, its size and its files. */
export const pack = (folder, into) => {
  const made = spawnSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', into], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 2],
  })
  if (made.status !== 0) throw new Error(`npm pack fails in ${folder}`)
  const [{ filename, size, files }] = Object.values(JSON.parse(made.stdout))
  return [join(into, filename), size, files.map(({ path }) => path)]
}
