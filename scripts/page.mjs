// Builds the page that `vfio-migration view` serves, into ts/dist/page. It reads files by WASM: a machine that cannot have
// that skips it, and says so.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './setup.mjs'

const folder = join(root, 'ts/dist/page')

if (existsSync(join(root, 'node_modules/vfio-migration-wasm32-wasi/package.json'))) {
  const vite = ['--no-install', 'vite', 'build', '--config', 'ts/page/vite.config.ts']
  const { status } = spawnSync('npx', vite, { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0) process.exit(1)
  const files = readdirSync(folder, { recursive: true }).map((name) => statSync(join(folder, name)))
  const size = files.reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0)
  console.error(`page: ${Math.ceil(size / 1024)} KiB, the WASM among them`)
} else {
  // One that was built before would be another version's.
  rmSync(folder, { recursive: true, force: true })
  console.error('skipped: the page of vfio-migration view: it reads files by WASM, which this machine cannot build')
}
