// `--html FILE` of each command: one file that needs nothing else, there whole or not at all.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import test, { type ExecutionContext } from 'ava'
import { lastJson, Run, run } from './support/cli.js'
import { all, type Node, only, parseMarkup } from './support/markup.js'
import { temporary } from './support/temporary.js'

const device = 'gpu0=model:size=1MiB,pre-copy,p2p'

/** A picture without a script, or anything from elsewhere. */
const drawn = async (t: ExecutionContext, path: string): Promise<Node> => {
  const html = await readFile(path, 'utf8')
  t.true(html.includes(`content="default-src 'none'; style-src 'unsafe-inline'"`))
  t.false(/<script|https?:(?!\/\/www\.w3\.org\/2000\/svg)/.test(html))
  return parseMarkup(html)
}

const figure = (page: Node, name: string) =>
  all(only(page, 'dl.vm-figures'), 'div')
    .find((div) => only(div, 'dt').text === name)
    ?.children.find((child) => child.name === 'dd')

const bytesOf = (page: Node) => BigInt(figure(page, 'moved')?.text.replace(/^.*iB/, '').replaceAll(/\D/g, '') ?? -1)

test('save and restore: each its own end, with the numbers of its report', async (t) => {
  const file = await temporary(t)
  const restoring = new Run(['restore', device, '--from', `unix:${file('s')}`, '--html', file('there.html'), '--json'])
  const saving = run('save', device, '--to', `unix:${file('s')}`, '--html', file('here.html'), '--json')
  const [out, into] = [await saving, await restoring.ended]
  t.deepEqual([out.status, into.status], [0, 0], out.stderr + into.stderr)
  for (const [ran, name, end] of [
    [out, 'here.html', 'source'],
    [into, 'there.html', 'destination'],
  ] as const) {
    const report = lastJson(ran) as { bytes: number; downtime: { totalMicros: number } }
    const page = await drawn(t, file(name))
    t.is(bytesOf(page), BigInt(report.bytes))
    t.true(figure(page, 'outcome')?.text.startsWith('completed'))
    t.true(all(page, 'text.vm-end').every(({ text }) => text === end))
    const parts = all(page, 'table').find((table) => only(table, 'caption').text.startsWith('Parts of the downtime'))
    t.is(all(parts as Node, 'td').at(-1)?.text, (report.downtime.totalMicros / 1000).toFixed(3))
  }
  t.deepEqual((await readdir(file('.'))).sort(), ['here.html', 'there.html'])
})

test('a save that failed is drawn as well', async (t) => {
  const file = await temporary(t)
  const broken = `${device},fault=set-state@3:EIO`
  const { status } = await run('save', broken, '--to', file('state'), '--html', file('run.html'))
  t.is(status, 1)
  const page = await drawn(t, file('run.html'))
  t.true(figure(page, 'outcome')?.text.startsWith('returned'))
  t.true(all(page, 'g.vm-trouble').length > 0)
  t.true(page.text.includes('EIO'))
})

test('inspect: a stream, a report, and the reports of both ends', async (t) => {
  const file = await temporary(t)
  const socket = `unix:${file('s')}`
  const restoring = new Run(['restore', device, '--from', socket, '--report', file('there.json')])
  t.is((await run('save', device, '--to', socket, '--report', file('here.json'))).status, 0)
  t.is((await restoring.ended).status, 0)
  const both = await run('inspect', file('there.json'), file('here.json'), '--html', file('both.html'))
  t.is(both.status, 0, both.stderr)
  t.regex(both.stdout, /^1 device moved\. .*\nthe picture is in .*both\.html\n$/)
  const page = await drawn(t, file('both.html'))
  t.deepEqual(
    [...new Set(all(page, 'text.vm-end').map(({ text }) => text))],
    ['source', 'destination'],
    'the source first, in whichever order they are given',
  )
  t.is(all(page, 'svg.vm-graph').length, 2)

  t.is((await run('save', device, '--to', file('state'))).status, 0)
  const stream = await run('inspect', file('state'), '--html', file('stream.html'), '--json')
  t.is(stream.status, 0, stream.stderr)
  t.deepEqual(lastJson(stream), { ok: true, html: file('stream.html') })
  const own = await drawn(t, file('stream.html'))
  t.true(all(own, 'td').some(({ text }) => text === 'device fsm stop-copy+p2p+pre-copy'))
  const report = JSON.parse(await readFile(file('here.json'), 'utf8')) as { bytes: number }
  const alone = await run('inspect', file('here.json'), '--html', file('alone.html'))
  t.is(alone.status, 0, alone.stderr)
  t.is(bytesOf(await drawn(t, file('alone.html'))), BigInt(report.bytes))

  t.is((await run('save', device, '--to', file('silent'), '--no-events')).status, 0)
  await writeFile(file('text'), 'a text file\n')
  await writeFile(file('brace'), '{ "no": "report" }')
  for (const [args, code, says] of [
    [[file('silent')], 2, /tells nothing of a run.*without --no-events/],
    [[file('text')], 2, /tells nothing of a run/],
    [[file('brace')], 2, /no report of a save or a restore/],
    [[file('absent')], 1, /'.*absent' cannot be read/],
    [[file('here.json'), file('state')], 2, /both files tell of a source/],
    [[], 2, /takes a stream or a report/],
    [[file('state'), '--frames'], 2, /one of --frames, --html/],
  ] as const) {
    const { status, stderr } = await run('inspect', ...args, '--html', file('no.html'))
    t.is(status, code, stderr)
    t.regex(stderr, says)
  }
  t.false((await readdir(file('.'))).some((name) => name.includes('no.html')))
})

test('demo: both ends, the guest and the missed pages', async (t) => {
  const file = await temporary(t)
  const ran = await run('demo', '--size', '1MiB', '--devices', '2', '--html', file('demo.html'), '--json')
  t.is(ran.status, 0, ran.stderr)
  const page = await drawn(t, file('demo.html'))
  t.is(bytesOf(page), BigInt(lastJson(ran).bytes as number))
  t.is(figure(page, 'pages missed')?.text, '0of guest memory')
  t.true(all(page, 'rect.vm-guest').length >= 2)
  const broken = await run('demo', '--size', '1MiB', '--break', 'verify', '--html', file('demo.html'), '--force')
  t.is(broken.status, 1)
  t.true(all(await drawn(t, file('demo.html')), 'g.vm-trouble').length > 0)
})

test('a file that exists is refused before anything is done, and replaced with --force', async (t) => {
  const file = await temporary(t)
  await writeFile(file('mine.html'), 'mine')
  await mkdir(file('folder'))
  for (const [args, where] of [
    [['save', device, '--to', file('state')], 'mine.html'],
    [['restore', device, '--from', file('absent')], 'mine.html'],
    [['demo', '--size', '1MiB'], 'mine.html'],
    [['inspect', file('absent')], 'mine.html'],
    [['save', device, '--to', file('state')], 'folder'],
  ] as const) {
    const { status, stderr } = await run(...args, '--html', file(where))
    t.is(status, 1)
    t.regex(stderr, /ERR_VFIO_EXISTS.*--force/)
  }
  t.is(await readFile(file('mine.html'), 'utf8'), 'mine')
  t.deepEqual((await readdir(file('.'))).sort(), ['folder', 'mine.html'], 'nothing was saved')
  const forced = await run('save', device, '--to', file('state'), '--html', file('mine.html'), '--force')
  t.is(forced.status, 0, forced.stderr)
  await drawn(t, file('mine.html'))
  for (const [path, code, says] of [
    [file('folder'), 1, /is a directory/],
    [file('absent/run.html'), 1, /ERR_VFIO_TRANSPORT.*not written.*--html/],
    ['-', 2, /needs the name of a file/],
  ] as const) {
    const { status, stderr } = await run('save', device, '--to', file('state'), '--html', path, '--force')
    t.is(status, code)
    t.regex(stderr, says)
  }
})

test('--force of a command that replaces nothing but pictures needs --html', async (t) => {
  for (const args of [
    ['restore', device, '--from', 'x', '--force'],
    ['demo', '--force'],
    ['inspect', 'x', '--force'],
  ]) {
    const { status, stderr } = await run(...args)
    t.is(status, 2)
    t.regex(stderr, /--force goes with --html/)
  }
})
