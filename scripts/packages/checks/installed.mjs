// What is installed from the tarballs runs: in several Nodes, for another processor, without the native package.
import assert from 'node:assert/strict'
import { Missing } from '../../../testbed/cache.mjs'
import { mainPackage, packageOf, targets, wasmPackage } from '../targets.mjs'
import { arm64, node } from '../tools.mjs'

/** Which binding an installation loads, and that its face is there. */
const importing = `
import { inspect, openDevice, restore, save, targets } from 'vfio-migration'
const device = await openDevice('model:size=1MiB')
console.log(JSON.stringify([typeof save, typeof restore, typeof inspect, Object.keys(targets).length, device.state]))
await device.close()
`

/** Import and the inspector, in one installation: the inspector must say what is known of each stream. */
const imports = async (installation, streams) => {
  const imported = await installation.node([installation.write('import.mjs', importing)])
  assert.equal(imported.status, 0, imported.stderr)
  assert.deepEqual(JSON.parse(imported.stdout), ['function', 'function', 'function', 8, 'running'])
  for (const { file, status, json } of streams) {
    const looked = await installation.cli('inspect', '--verify', '--json', file)
    assert.equal(looked.status, status, looked.stderr)
    assert.deepEqual(JSON.parse(looked.stdout), json)
  }
}

/** The demo, and one that is broken on purpose: it compares, so it finds that out. */
const demonstrates = async (installation, ...options) => {
  const demo = ['demo', '--json', '--size', '8MiB', ...options]
  const shown = await installation.cli(...demo)
  assert.equal(shown.status, 0, shown.stderr)
  assert.match(shown.stdout, /"outcome":\s*"completed"/)
  const broken = await installation.cli(...demo, '--break', 'verify')
  assert.equal(broken.status, 1, `${broken.stdout}${broken.stderr}`)
}

const nothingCompiles = async (installation) => {
  for (const program of ['cc', 'gcc', 'clang', 'make', 'cargo', 'rustc', 'node-gyp', 'python3']) {
    assert.equal(await installation.has(program), false, `${program} is on PATH`)
  }
}

/** The platform of this machine. */
const here = () => {
  const libc = process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
  const target = targets.find((one) => one.cpu === process.arch && one.libc === libc)
  if (process.platform !== 'linux' || target === undefined) throw new Missing('there is no addon for this machine')
  return target
}

/** The WASM is installed everywhere; a machine that could not build it has none to install. */
const wasmOf = (tarballs) => (tarballs.has(wasmPackage) ? [wasmPackage] : [])

const installedAsWasm = async (installed, tarballs) => {
  if (!tarballs.has(wasmPackage)) throw new Missing('it is not built here: npm run build:wasm')
  const installation = await installed({ options: ['--omit=optional'] })
  assert.deepEqual(installation.names(), [mainPackage, wasmPackage].sort())
  return installation
}

const onNode = (what, find, rare) => ({
  what: `without a compiler: import, the demo and the inspector in ${what}`,
  rare,
  async run({ installed, streams, tarballs }) {
    const program = find()
    const installation = await installed(program === process.execPath ? {} : { node: [program] })
    await nothingCompiles(installation)
    assert.deepEqual(installation.names(), [mainPackage, packageOf(here()), ...wasmOf(tarballs)].sort())
    await imports(installation, await streams())
    await demonstrates(installation)
  },
})

export default [
  onNode('this Node', () => process.execPath),
  onNode('Node 22', () => node(22), true),
  onNode('Node 24', () => node(24), true),
  {
    what: 'run finds the library to preload in the package of the platform',
    async run({ installed }) {
      if (here().libc !== 'glibc') throw new Missing('the library to preload is for glibc')
      const installation = await installed()
      // Node opens files through libc: only the preloaded library has a container to open.
      const script = "require('node:fs').openSync('/dev/vfio/vfio', 'r+'); console.log('opened')"
      const ran = await installation.cli('run', '--device', 'model:size=1MiB', '--', process.execPath, '-e', script)
      assert.equal(ran.status, 0, ran.stderr)
      assert.match(ran.stdout, /opened/)
    },
  },
  {
    what: 'as WASM, where optional packages are left out: import and the inspector',
    async run({ installed, streams, tarballs }) {
      const installation = await installedAsWasm(installed, tarballs)
      await imports(installation, await streams())
    },
  },
  {
    what: 'as WASM, where optional packages are left out: the demo in one process',
    rare: true,
    run: async ({ installed, tarballs }) => demonstrates(await installedAsWasm(installed, tarballs), '--in-process'),
  },
  {
    what: 'on arm64, emulated: import, the demo in one process, and the inspector',
    rare: true,
    async run({ installed, streams, tarballs }) {
      const target = targets.find(({ name }) => name === 'linux-arm64-gnu')
      if (!tarballs.has(packageOf(target))) throw new Missing('its package is not built: npm run build:platforms')
      const options = ['--os=linux', '--cpu=arm64', '--libc=glibc']
      const installation = await installed({ node: [...arm64(), node(22, 'arm64')], options })
      assert.deepEqual(installation.names(), [mainPackage, packageOf(target), ...wasmOf(tarballs)].sort())
      await imports(installation, await streams())
      await demonstrates(installation, '--in-process')
    },
  },
  ...targets.map((target) => ({
    what: `npm chooses the package for ${target.name} there, and no other`,
    rare: true,
    async run({ installed, tarballs }) {
      if (!tarballs.has(packageOf(target))) throw new Missing('it is not built: npm run build:platforms')
      const installation = await installed({ options: ['--os=linux', `--cpu=${target.cpu}`, `--libc=${target.libc}`] })
      assert.deepEqual(installation.names(), [mainPackage, packageOf(target), ...wasmOf(tarballs)].sort())
    },
  })),
  {
    what: 'on a system without an addon npm installs the WASM alone',
    async run({ installed, tarballs }) {
      const installation = await installed({ options: ['--os=darwin', '--cpu=arm64'] })
      assert.deepEqual(installation.names(), [mainPackage, ...wasmOf(tarballs)].sort())
    },
  },
]
