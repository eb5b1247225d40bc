// Builds what suites run in machines, all in one go. Of the whole workspace: what `npm test` has compiled is used again,
// where a package by itself would have its dependencies with other features, and all would be compiled once more.
import { spawnSync } from 'node:child_process'
import { root } from './cache.mjs'

const cargo = (args) => {
  const all = [...args, '--workspace', '--message-format=json', '--quiet']
  const { status, stdout } = spawnSync('cargo', all, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`cargo ${all.join(' ')} failed`)
  const messages = stdout.split('\n').filter((line) => line.startsWith('{'))
  return messages.map((line) => JSON.parse(line)).filter((message) => message.executable)
}

/** Where the programs and the tests of these names are, once they are built. */
const made = (args, option, kind, names) => {
  if (names.length === 0) return []
  const found = cargo([...args, ...names.flatMap((name) => [option, name])])
  return names.map((name) => {
    const one = found.find(({ target }) => target.name === name && target.kind.includes(kind))
    if (one === undefined) throw new Error(`cargo made no ${kind} ${name}`)
    return [name, one.executable]
  })
}

/**
 * Builds programs of `programs/` and tests of any crate; the path of each, by its name.
 *
 * @param {{ programs: string[], tests: string[] }} wanted
 * @returns {Record<string, string>}
 */
export const build = ({ programs, tests }) =>
  Object.fromEntries([
    ...made(['build'], '--bin', 'bin', programs),
    ...made(['test', '--no-run'], '--test', 'test', tests),
  ])
