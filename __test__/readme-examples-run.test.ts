import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

test('the README’s TypeScript passes the compiler’s checks and moves a device', async (t) => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const example = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? ''
  // Inside the package, so that it imports it by its name.
  const folder = await mkdtemp(join(root, '__test__/build/readme-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'example.ts')
  await writeFile(file, example)

  const options: ts.CompilerOptions = {
    strict: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    rootDir: folder,
    outDir: folder,
    skipLibCheck: true,
  }
  const program = ts.createProgram([file], options)
  const told = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics]
  t.deepEqual(
    told.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
    [],
  )

  const { stdout } = await run(process.execPath, [join(folder, 'example.js')], { cwd: folder, timeout: 60_000 })
  t.regex(stdout, /stop-copy -> stop\n/)
  t.regex(stdout, /^completed \{/m)
})
