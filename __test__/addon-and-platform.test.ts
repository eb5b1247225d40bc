import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { Run, run } from './support/cli.js'
import { temporary } from './support/temporary.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const script = `
  import { isVfioError, openDevice, targets } from 'vfio-migration'
  console.log(Object.keys(targets).length)
  try { await openDevice('model:size=1MiB') } catch (error) {
    console.log(JSON.stringify({ ours: isVfioError(error, 'ERR_VFIO_PLATFORM'), message: error.message, ...error.details }))
  }
`
const imported = async (addon: string) => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    cwd: root,
    env: { ...process.env, VFIO_MIGRATION_ADDON: addon },
  })
  const [states, error] = stdout.trim().split('\n')
  return { states, error: JSON.parse(error as string) }
}

test('without an addon the package can be imported; what needs it says what is missing', async (t) => {
  const { states, error } = await imported('/nowhere/vfio-migration.node')
  t.is(states, '8')
  t.true(error.ours)
  t.regex(error.message, /\/nowhere\/vfio-migration\.node/)
  t.is(error.file, '/nowhere/vfio-migration.node')
  t.truthy(error.remedy)
})

test('an addon of another version is refused, with the file and both versions', async (t) => {
  const file = (await temporary(t))('other.cjs')
  await writeFile(file, 'exports.version = () => "9.9.9"')
  const { error } = await imported(file)
  t.true(error.ours)
  t.is(error.found, '9.9.9')
  t.is(error.file, file)
  for (const part of [file, '9.9.9', error.wanted]) t.true(error.message.includes(part), error.message)
})

test('an addon that cannot be loaded is named, with the reason', async (t) => {
  const file = (await temporary(t))('broken.node')
  await writeFile(file, 'this is no library')
  const { error } = await imported(file)
  t.true(error.ours)
  t.true(error.message.includes(file))
})

test('on the command line: one line, status 3', async (t) => {
  const { status, stderr } = await new Run(['save', 'model:size=1MiB', '--to', '/dev/null'], {
    env: { VFIO_MIGRATION_ADDON: '/nowhere/x.node' },
  }).ended
  t.is(status, 3)
  t.regex(stderr, /^vfio-migration: ERR_VFIO_PLATFORM: .*\/nowhere\/x\.node.*\(.*\)\n$/)
})

test('help and version need no addon', async (t) => {
  const { status, stdout } = await run('--version')
  t.is(status, 0)
  const { version } = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as { version: string }
  t.is(stdout, `${version}\n`)
})
