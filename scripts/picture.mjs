// Makes docs/demo.svg, the README's picture of the demo, from a real run: `node scripts/picture.mjs`.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, setup } from './setup.mjs'

setup(['packages', 'native', 'typescript'])
const { stdout, status } = spawnSync(process.execPath, ['ts/dist/cli/main.js', 'demo'], {
  cwd: root,
  env: { ...process.env, FORCE_COLOR: '1', COLUMNS: '100' },
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
})
if (status !== 0) process.exit(status ?? 1)

/** What a terminal shows for the codes that the command line uses. */
const styles = {
  1: 'font-weight:bold',
  2: 'fill:#7d8590',
  31: 'fill:#ff7b72',
  32: 'fill:#3fb950',
  33: 'fill:#d29922',
  34: 'fill:#58a6ff',
  35: 'fill:#bc8cff',
  36: 'fill:#39c5cf',
}
const [columnWidth, lineHeight, margin] = [8.43, 18, 16]
const escaped = (text) => text.replace(/[&<>]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[char])

const lines = `$ npm run demo\n${stdout.trimEnd()}`.split('\n')
const draw = (line, row) => {
  let column = 0
  let style = ''
  let spans = ''
  for (const part of line.split(/(\x1b\[[0-9;]*m)/)) {
    const code = /^\x1b\[([0-9;]*)m$/.exec(part)
    if (code) style = code[1] === '0' || code[1] === '' ? '' : `${style};${styles[code[1]] ?? ''}`
    else if (part) {
      // Each run says where it stands, so that a font without these signs cannot shift what follows.
      const length = `textLength="${(part.length * columnWidth).toFixed(1)}" lengthAdjust="spacingAndGlyphs"`
      const x = (margin + column * columnWidth).toFixed(1)
      spans += `<tspan x="${x}" ${length} style="${style}">${escaped(part)}</tspan>`
      column += part.length
    }
  }
  return `<text y="${margin + (row + 1) * lineHeight - 5}" xml:space="preserve">${spans}</text>`
}
const columns = Math.max(...lines.map((line) => line.replace(/\x1b\[[0-9;]*m/g, '').length))
const [width, height] = [Math.ceil(columns * columnWidth) + 2 * margin, lines.length * lineHeight + 2 * margin]
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="A run of npm run demo in a terminal">
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#e6edf3">
${lines.map(draw).join('\n')}
</g>
</svg>
`
writeFileSync(join(root, 'docs/demo.svg'), svg)
console.error(`docs/demo.svg: ${lines.length} lines`)
