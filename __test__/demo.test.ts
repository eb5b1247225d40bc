import test from 'ava'
import { lastJson, run } from './support/cli.js'

test('the demo moves a device between two processes and proves that nothing was lost', async (t) => {
  const { status, stdout, stderr } = await run('demo')
  t.is(status, 0, stderr)
  t.regex(stdout, /identical: true\n$/)
  for (const line of [
    /moved +\d+ MiB in/,
    /downtime +\S+ ms = pause/,
    /resets +✔ 0/,
    /identical: 4096 of 4096 pages, 0 missed/,
    /running → pre-copy → pre-copy-p2p → stop-copy → stop/,
  ]) {
    t.regex(stdout, line)
  }
  t.notRegex(stdout, /\x1b/, 'no colours where no terminal is')
  t.true(stdout.split('\n').every((line) => line.length <= 120))
})

test('demo --json ends with one object', async (t) => {
  const ran = await run('demo', '--json', '--size', '16MiB')
  t.is(ran.status, 0, ran.stderr)
  const verdict = lastJson(ran)
  t.like(verdict, { identical: true, resets: 0, counterContinued: true, missedPages: 0 })
  for (const key of ['bytes', 'downtimeMs', 'totalMs']) t.true((verdict[key] as number) > 0, key)
})

test('demo --json=events tells of both ends', async (t) => {
  const { stdout } = await run('demo', '--json=events', '--size', '1MiB')
  t.true(stdout.includes('"side":"save"') && stdout.includes('"side":"restore"'))
})

for (const options of [
  '--size 8MiB --devices 3',
  '--size 8MiB --no-pre-copy',
  '--size 8MiB --in-process',
  '--size 8MiB --seed 7',
  '--size 0',
  '--size 12345',
]) {
  test(`demo ${options}`, async (t) => {
    const ran = await run('demo', '--json', ...options.split(' '))
    t.is(ran.status, 0, ran.stderr)
    t.like(lastJson(ran), { identical: true, missedPages: 0 })
  })
}

test('the proof can fail: a bit that is flipped after it was verified', async (t) => {
  const ran = await run('demo', '--break', 'verify', '--json')
  t.is(ran.status, 1)
  t.like(lastJson(ran), { identical: false, counterContinued: false })
  const { stdout } = await run('demo', '--break', 'verify')
  t.regex(stdout, /identical: false\n$/)
  t.regex(stdout, /runs at the source again/)
})

test('the proof can fail: a page that the DMA log lost', async (t) => {
  const ran = await run('demo', '--break', 'log', '--json')
  t.is(ran.status, 1)
  const verdict = lastJson(ran)
  t.false(verdict.identical)
  t.true((verdict.missedPages as number) > 0)
})

test('the proof can fail: a destination that throws its data away', async (t) => {
  const ran = await run('demo', '--break', 'discard', '--json')
  t.is(ran.status, 1)
  t.like(lastJson(ran), { identical: false, identicalDevices: 0 })
})

test('demo --quiet prints nothing', async (t) => {
  t.like(await run('demo', '--quiet', '--size', '1MiB'), { status: 0, stdout: '', stderr: '' })
})
