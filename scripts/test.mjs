// Runs every test of the project, or one part of it: `node scripts/test.mjs [rust|ava|lint]...`. Sets up first what is due.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root, setup, took } from './setup.mjs'

const npx = (...args) => ['npx', '--no-install', ...args]

/** Tests that need a kernel with their device: `cargo test` leaves them alone, the test bed runs them. */
const inTestBed = ['iommufd_mock', 'kernel_blocks', 'kernel_faults', 'kernel_module', 'kernel_mtty'].flatMap((name) => [
  '--test',
  name,
])

/** What each part needs, and what it runs; all of it, so that one run tells everything. */
const parts = {
  rust: { needs: [], run: [['cargo', 'test', '--workspace', '--quiet']] },
  ava: { needs: ['packages', 'native', 'preload', 'libc', 'wasm', 'page', 'typescript', 'tests'], run: [npx('ava')] },
  lint: {
    needs: ['packages', 'native', 'typescript', 'tests'],
    run: [
      ['cargo', 'fmt', '--all', '--check'],
      ['cargo', 'clippy', '--workspace', '--all-targets', '--quiet', '--', '-D', 'warnings'],
      // Of the whole workspace, as above: of one package its dependencies would be looked at again.
      ['cargo', 'clippy', '--workspace', ...inTestBed, '--quiet', '--', '-D', 'warnings'],
      npx('biome', 'check', '--error-on-warnings'),
      // The types of the addon stand in the repository, so that the facade can be read without building it.
      ['git', 'diff', '--exit-code', '--stat', '--', 'ts/binding.ts'],
      ['node', 'scripts/cli-doc.mjs', '--check'],
      ['node', 'scripts/version.mjs', '--check'],
      // The declarations that are published, as a program sees them that checks its libraries.
      npx('tsc', '-p', 'tsconfig.test.json', '--noEmit'),
      npx('tsc', '-p', 'tsconfig.page.json'),
    ],
  },
}

const wanted = process.argv.slice(2)
const unknown = wanted.find((name) => !Object.hasOwn(parts, name))
if (unknown !== undefined) {
  console.error(`test: no part is called ${unknown}: there are ${Object.keys(parts).join(', ')}`)
  process.exit(2)
}
const names = wanted.length > 0 ? wanted : Object.keys(parts)
const floors = 'scripts/floors.mjs'
if (existsSync(join(root, floors))) parts.lint.run.push(['node', floors])
setup([...new Set(names.flatMap((name) => parts[name].needs))])
const failed = []
for (const command of names.flatMap((name) => parts[name].run)) {
  const said = command.filter((word) => word !== '--no-install').join(' ')
  console.error(`test: ${said}`)
  const begun = Date.now()
  const { status } = spawnSync(command[0], command.slice(1), { cwd: root, stdio: 'inherit' })
  console.error(`test: ${took(said, begun)}`)
  if (status !== 0) failed.push(command.join(' '))
}
for (const command of failed) console.error(`test: failed: ${command}`)
process.exitCode = failed.length > 0 ? 1 : 0
