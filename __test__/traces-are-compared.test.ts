// Traces as the facade and the command line show and compare them.
import { writeFile } from 'node:fs/promises'
import test from 'ava'
import { diffTraces, foldTrace, isVfioError } from 'vfio-migration'
import { lastJson, run } from './support/cli.js'
import { temporary } from './support/temporary.js'

const idle = '0 pre-copy tracker-report\n0 pre-copy read 4096B -> ENOMSG\n'
const one = `0 running set-state pre-copy -> data-fd\n${idle.repeat(5)}0 pre-copy note proof -> 00\n- - dma-map\n`
const same = `0 running set-state pre-copy -> data-fd\n{\n${idle}} x2\n- - dma-map\n`
const other = same.replace('ENOMSG', '4096B')

test('foldTrace() writes what comes in a row once, and only what is asked for', async (t) => {
  const folded = await foldTrace(one)
  t.true(folded.includes('{\n  0 pre-copy     tracker-report\n  0 pre-copy     read 4096B -> ENOMSG\n} x5\n'))
  t.is(await foldTrace(folded), folded)
  const read = '0 pre-copy     read 4096B -> ENOMSG x5\n'
  t.is(await foldTrace(one, { only: ['read'] }), read)
  t.is(await foldTrace(one, { device: '0', without: ['tracker-report', 'set-state', 'note'] }), read)
})

test('diffTraces() tells who has which line', async (t) => {
  t.true((await diffTraces(one, same)).every(({ side }) => side === 'both'))
  const changes = await diffTraces(one, other)
  const sides = changes.filter(({ side }) => side !== 'both').map(({ side, line }) => `${side}: ${line}`)
  t.deepEqual(sides, ['first: 0 pre-copy     read B -> ENOMSG', 'second: 0 pre-copy     read B -> B'])
  const error = await t.throwsAsync(diffTraces(one, 'this is none'))
  t.true(isVfioError(error) && error.code === 'ERR_VFIO_USAGE')
  t.is(error?.message, 'the second trace is none: line 1: the second word is no state')
})

test('trace show and trace diff', async (t) => {
  const file = await temporary(t)
  const write = async (name: string, text: string) => {
    await writeFile(file(name), text)
    return file(name)
  }
  const [first, second, third] = await Promise.all([write('1', one), write('2', same), write('3', other)])
  const shown = await run('trace', 'show', first, '--only', 'read,dma-map')
  t.deepEqual([shown.status, shown.stdout], [0, '0 pre-copy     read 4096B -> ENOMSG x5\n- -            dma-map\n'])
  const equal = await run('trace', 'diff', first, second)
  t.deepEqual([equal.status, equal.stdout], [0, 'the same\n'])
  const unequal = await run('trace', 'diff', first, third)
  t.is(unequal.status, 1)
  t.true(unequal.stdout.includes('- 0 pre-copy     read B -> ENOMSG\n+ 0 pre-copy     read B -> B\n'), unequal.stdout)
  t.like(lastJson(await run('trace', 'diff', first, third, '--json')), { ok: false })
  t.deepEqual(lastJson(await run('trace', 'show', second, '--only', 'dma-map', '--json')), {
    ok: true,
    lines: ['- -            dma-map'],
  })
  for (const [args, code, says] of [
    [['trace'], 2, 'choose show or diff'],
    [['trace', 'show'], 2, 'takes one file'],
    [['trace', 'diff', first], 2, 'takes two files'],
    [['trace', 'show', file('absent')], 1, 'cannot be read'],
    [['trace', 'show', await write('4', '0 running')], 2, 'line 1: a line has a device'],
  ] as const) {
    const { status, stderr } = await run(...args)
    t.is(status, code, stderr)
    t.true(stderr.includes(says), stderr)
  }
})
