// Writes the options of docs/cli.md from the command line's own table: `node scripts/cli-doc.mjs`; with --check it only says
// whether the file is as it should be.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, setup } from './setup.mjs'

setup(['packages', 'native', 'typescript'])
const { commands } = await import('../ts/dist/cli/options.js')

const option = ({ name, value, help }) => {
  const shown = value === undefined ? '' : value.startsWith('[') ? `[=${value.slice(1, -1)}]` : ` ${value}`
  return `| \`--${name}${shown.replaceAll('|', '\\|')}\` | ${help.replaceAll('|', '\\|')} |`
}
const section = ({ name, operands, help, options }) =>
  [
    `## vfio-migration ${name} ${operands}`.trimEnd(),
    `${help[0].toUpperCase()}${help.slice(1)}.`,
    '',
    '| option | |',
    '|---|---|',
    ...options.map(option),
  ].join('\n')

const path = join(root, 'docs/cli.md')
const before = readFileSync(path, 'utf8')
const mark = '<!-- options -->\n'
const after = `${before.slice(0, before.indexOf(mark) + mark.length)}\n${Object.values(commands).map(section).join('\n\n')}\n`
if (process.argv.includes('--check')) {
  if (before !== after) {
    console.error('docs/cli.md is not what the command line says: run "node scripts/cli-doc.mjs"')
    process.exitCode = 1
  }
} else writeFileSync(path, after)
