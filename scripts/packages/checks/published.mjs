// What is in the tarballs: what tools say that know packages, what a compiler finds, and which files there are.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { root } from '../../setup.mjs'
import { filesOf, mainPackage, packageOf, targets, wasmPackage } from '../targets.mjs'
import { zizmor } from '../tools.mjs'

/** A tool, of the checkout if it is only a name; it must find nothing. */
const findsNothing = (tool, ...args) => {
  const { status, stdout, stderr } = spawnSync(resolve(root, 'node_modules/.bin', tool), args, { encoding: 'utf8' })
  assert.equal(status, 0, `${tool} ${args.join(' ')}:\n${stdout}${stderr}`)
}

/** What a program imports, with a use of each type that must not have become `any`. */
const consumer = `import { openDevice, restore, save, VfioError, isVfioError } from 'vfio-migration'
import type { SaveOptions } from 'vfio-migration'

const device = await openDevice('model:size=1MiB')
const options: SaveOptions = { downtimeBudgetMs: 200 }
const session = await save(device, options)
for await (const event of session.events()) if (event.type === 'state') event.device satisfies string
const error: unknown = undefined
if (isVfioError(error, 'ERR_VFIO_PLATFORM')) error.details.file satisfies string | undefined
export const ours: typeof VfioError = VfioError
export { restore }
// @ts-expect-error: an option of the wrong type is refused, so the types are there
save(device, { downtimeBudgetMs: 'soon' })
`

export default [
  {
    what: 'publint finds nothing in any package',
    run({ tarballs }) {
      for (const { path } of tarballs.values()) findsNothing('publint', path, '--strict')
    },
  },
  {
    what: 'are-the-types-wrong finds nothing in the main package, for ESM',
    run: ({ tarballs }) => findsNothing('attw', tarballs.get(mainPackage).path, '--profile', 'esm-only'),
  },
  ...['node16', 'bundler'].map((resolution) => ({
    what: `the types that are installed resolve and hold with ${resolution} resolution`,
    async run({ installed }) {
      const installation = await installed()
      const program = installation.write('consumer.ts', consumer)
      // The declarations of Node are the consumer's own affair: it has the checkout's.
      const types = join(root, 'node_modules/@types')
      const options = ['--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2023,esnext.disposable']
      const module = resolution === 'bundler' ? 'esnext' : 'node16'
      const how = ['--module', module, '--moduleResolution', resolution, '--types', 'node', '--typeRoots', types]
      findsNothing('tsc', '--ignoreConfig', ...options, ...how, program)
    },
  })),
  {
    what: 'the main package holds what it needs to run, and nothing else',
    run({ tarballs }) {
      const { files } = tarballs.get(mainPackage)
      const strange = files.filter(
        (file) =>
          !/^(ts\/dist\/.*(\.js|\.d\.ts|\.html|\.css|\.svg|\.wasm)|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(
            file,
          ),
      )
      assert.deepEqual(strange, [])
      for (const file of ['ts/dist/index.js', 'ts/dist/index.d.ts', 'ts/dist/cli/main.js', 'LICENSE', 'CHANGELOG.md']) {
        assert.ok(files.includes(file), `${file} is missing`)
      }
    },
  },
  {
    what: 'the packages of the platforms hold their libraries, the licence, and who they are for',
    run({ tarballs, folderOf }) {
      for (const target of targets.filter((one) => tarballs.has(packageOf(one)))) {
        const name = packageOf(target)
        const wanted = ['LICENSE', 'README.md', ...filesOf(target), 'package.json'].sort()
        assert.deepEqual([...tarballs.get(name).files].sort(), wanted, name)
        const { os, cpu, libc, version } = JSON.parse(readFileSync(join(folderOf(name), 'package.json'), 'utf8'))
        assert.deepEqual({ os, cpu, libc }, { os: ['linux'], cpu: [target.cpu], libc: [target.libc] })
        const main = JSON.parse(readFileSync(join(folderOf(mainPackage), 'package.json'), 'utf8'))
        assert.equal(main.optionalDependencies[name], version)
        if (tarballs.has(wasmPackage)) assert.equal(main.dependencies[wasmPackage], version)
      }
    },
  },
  {
    what: 'zizmor finds nothing in the workflows',
    rare: true,
    run: () => findsNothing(zizmor(), '--offline', '--quiet', join(root, '.github/workflows')),
  },
  {
    what: 'the crates can be packaged',
    run({ all }) {
      // Cargo keeps what it has unpacked of a version, by the place where it was packed: a fresh one is never stale.
      const target = mkdtempSync(join(tmpdir(), 'vfio-migration-crates-'))
      const args = ['package', '--workspace', '--allow-dirty', '--quiet', '--target-dir', target]
      try {
        const { status, stderr } = spawnSync('cargo', all ? args : [...args, '--no-verify'], {
          cwd: root,
          encoding: 'utf8',
        })
        assert.equal(status, 0, stderr)
      } finally {
        rmSync(target, { recursive: true, force: true })
      }
    },
  },
]
