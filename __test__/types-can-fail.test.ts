import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, '__test__/types')

for (const name of readdirSync(folder)) {
  test(`every refusal in types/${name} is a refusal of the compiler`, (t) => {
    const file = join(folder, name)
    const source = readFileSync(file, 'utf8')
    const directives = source.match(/\/\/ @ts-expect-error/g)?.length ?? 0
    t.true(directives > 0)
    const config = ts.getParsedCommandLineOfConfigFile(
      join(root, 'tsconfig.test.json'),
      { noEmit: true, incremental: false },
      {
        ...ts.sys,
        onUnRecoverableConfigFileDiagnostic: (diagnostic) => t.fail(String(diagnostic.messageText)),
      },
    )
    const { tsBuildInfoFile: _, ...options } = config?.options ?? {}
    const host = ts.createCompilerHost(options)
    const read = host.readFile
    // The same file without its directives: what they stood for must show, one error for each.
    const bare = source.replaceAll('// @ts-expect-error', '//')
    host.readFile = (path) => (path === file ? bare : read(path))
    host.getSourceFile = (path, target) => ts.createSourceFile(path, host.readFile(path) ?? '', target)
    const program = ts.createProgram([file], options, host)
    const lines = ts
      .getPreEmitDiagnostics(program)
      .map((one) => one.file?.getLineAndCharacterOfPosition(one.start ?? 0).line)
    t.is(new Set(lines).size, directives)
  })
}

test('a state that is optional is refused with a sentence', (t) => {
  const refusal = readFileSync(join(root, 'ts/dist/states.d.ts'), 'utf8')
  t.regex(refusal, /is optional: test device\.supports/)
})
