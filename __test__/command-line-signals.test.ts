import test, { type ExecutionContext } from 'ava'
import { lastJson, Run } from './support/cli.js'
import { temporary } from './support/temporary.js'

const start = async (t: ExecutionContext, saveOptions: string[], fault = '') => {
  const file = await temporary(t)
  const settings = 'gpu0=model:size=64MiB,pre-copy,p2p'
  const restoring = new Run(['restore', `${settings}${fault}`, '--from', `unix:${file('s')}`, '--json=events'])
  t.teardown(() => restoring.child.kill('SIGKILL'))
  await restoring.said('"listening"')
  const saving = new Run(['save', settings, '--to', `unix:${file('s')}`, '--json=events', ...saveOptions])
  t.teardown(() => saving.child.kill('SIGKILL'))
  return { saving, restoring }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} at the source cancels: the source runs on, status 130`, async (t) => {
    const { saving, restoring } = await start(t, ['--rate', '8MiB'])
    await saving.said('"progress"')
    saving.child.kill(signal)
    const [out, into] = await Promise.all([saving.ended, restoring.ended])
    t.is(out.status, 130, out.stderr)
    t.like(lastJson(out), { ok: false, outcome: 'returned' })
    t.is((lastJson(out).devices as { state: string }[])[0]?.state, 'running')
    t.not(into.status, 0)
  })

  test(`${signal} at the destination refuses: the source runs on`, async (t) => {
    const { saving, restoring } = await start(t, ['--rate', '8MiB'])
    await saving.said('"progress"')
    restoring.child.kill(signal)
    const [out, into] = await Promise.all([saving.ended, restoring.ended])
    t.is(into.status, 130, into.stderr)
    t.is((lastJson(out).devices as { state: string }[])[0]?.state, 'running')
  })
}

test('after the guest was given up a signal is answered ERR_VFIO_TOO_LATE, and the run goes on to its end', async (t) => {
  const { saving, restoring } = await start(t, [], ',fault=set-state@3:delay:1s')
  await saving.said('"given-up"')
  saving.child.kill('SIGINT')
  await saving.said('ERR_VFIO_TOO_LATE')
  const [out, into] = await Promise.all([saving.ended, restoring.ended])
  t.is(out.status, 0, out.stderr)
  t.is(into.status, 0, into.stderr)
})

test('a peer that is killed: the source runs on and says what happened', async (t) => {
  const { saving, restoring } = await start(t, ['--rate', '8MiB'])
  await saving.said('"progress"')
  restoring.child.kill('SIGKILL')
  const out = await saving.ended
  t.is(out.status, 1)
  t.regex(out.stderr, /^vfio-migration: ERR_VFIO_(TRANSPORT|PEER): [^\n]+\n$/)
  t.is((lastJson(out).devices as { state: string }[])[0]?.state, 'running')
})

test('a device that is lost: status 5', async (t) => {
  // Its way back is barred, and a reset would wipe what the guest still needs.
  const file = await temporary(t)
  const saving = new Run(['save', 'gpu0=model:size=1MiB,fault=read@1:error', '--to', file('state'), '--json'])
  const out = await saving.ended
  t.is(out.status, 5, out.stderr)
  t.is(lastJson(out).outcome, 'lost')
})
