import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Every example of the documentation comments and of the README, by where it stands. */
const examples: { readonly name: string; readonly text: string }[] = []
for (const name of (await readdir(join(root, 'ts'), { recursive: true })).filter(
  (path) => path.endsWith('.ts') && !/^(dist|native|cli)\//.test(path),
)) {
  const source = await readFile(join(root, 'ts', name), 'utf8')
  for (const [, example] of source.matchAll(/@example\n[ *]*```ts\n([\s\S]*?)```/g)) {
    examples.push({ name: `ts/${name}`, text: (example as string).replaceAll(/^ *\* ?/gm, '') })
  }
}
const readme = await readFile(join(root, 'README.md'), 'utf8').catch(() => '')
for (const [, example] of readme.matchAll(/^```ts\n([\s\S]*?)^```/gm))
  examples.push({ name: 'README.md', text: example as string })

test('there are examples', (t) => {
  t.true(examples.length > 8)
})

for (const [place, { name, text }] of examples.entries()) {
  test(`example ${place + 1}, of ${name}, compiles and runs`, async (t) => {
    // Below the package, so that its own name leads to it.
    const folder = await mkdtemp(join(root, '__test__/build/example-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const file = join(folder, 'example.ts')
    await writeFile(file, `${text}\nexport {}\n`)
    const config = ts.getParsedCommandLineOfConfigFile(
      join(root, 'tsconfig.test.json'),
      { incremental: false, noUnusedLocals: false },
      {
        ...ts.sys,
        onUnRecoverableConfigFileDiagnostic: (diagnostic) => t.fail(String(diagnostic.messageText)),
      },
    )
    const { tsBuildInfoFile: _, ...options } = config?.options ?? {}
    const program = ts.createProgram([file], { ...options, rootDir: folder, outDir: folder })
    const emitted = program.emit()
    const diagnostics = [...ts.getPreEmitDiagnostics(program), ...emitted.diagnostics]
    t.deepEqual(
      diagnostics.map((one) => ts.flattenDiagnosticMessageText(one.messageText, '\n')),
      [],
    )
    await promisify(execFile)(process.execPath, [join(folder, 'example.js')], { cwd: folder })
  })
}
