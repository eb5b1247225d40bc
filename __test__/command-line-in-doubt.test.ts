import { connect, createServer, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { lastJson, Run } from './support/cli.js'
import { temporary } from './support/temporary.js'

const settings = 'model:size=1MiB,p2p'

/** Both commands, connected through a wire that is cut before the destination hears that it owns the guest. */
const inDoubt = async (t: ExecutionContext, stdin: 'pipe' | 'ignore' = 'pipe') => {
  const file = await temporary(t)
  // Leaving resuming takes a while: in it the wire is closed to what the source says.
  const restoring = new Run(
    ['restore', `gpu0=${settings},fault=set-state@2:delay:500ms`, '--from', `unix:${file('back')}`, '--json=events'],
    { stdin },
  )
  t.teardown(() => restoring.child.kill('SIGKILL'))
  await restoring.said('"listening"')
  const ends: Socket[] = []
  const server = createServer((near) => {
    const far = connect(file('back'))
    ends.push(near, far)
    for (const end of ends) end.on('error', () => {})
    near.pipe(far)
    far.pipe(near)
  })
  t.teardown(() => server.close())
  await new Promise<void>((resolve) => server.listen(file('front'), resolve))
  const saving = new Run(['save', `gpu0=${settings}`, '--to', `unix:${file('front')}`, '--json=events'], { stdin })
  t.teardown(() => saving.child.kill('SIGKILL'))
  await restoring.said('"phase":"configuring"')
  const [near, far] = ends as [Socket, Socket]
  near.unpipe(far)
  await saving.said('"given-up"')
  for (const end of ends) end.destroy()
  await Promise.all([saving.said('"in-doubt"'), restoring.said('"in-doubt"')])
  return { saving, restoring }
}

const type = (run: Run, line: string) => run.child.stdin?.write(`${line}\n`)

test('in doubt both commands say what can be typed, and wait; claim and discard settle it', async (t) => {
  const { saving, restoring } = await inDoubt(t)
  await saving.said(/type take-back or .*discard/)
  await restoring.said(/type claim or discard/)
  type(restoring, 'dance')
  await restoring.said("'dance' is none of claim, discard")
  t.is(saving.child.exitCode, null)
  t.is(restoring.child.exitCode, null)
  type(restoring, 'claim')
  const into = await restoring.ended
  t.is(into.status, 0, into.stderr)
  t.like(lastJson(into), { ok: true, outcome: 'completed' })
  type(saving, 'discard')
  const out = await saving.ended
  t.regex(String(out.status), /^[0-5]$/)
  t.true((lastJson(out).devices as { state: string }[])[0]?.state !== 'running', 'who discarded does not run')
})

test('take-back by force brings the source back', async (t) => {
  const { saving, restoring } = await inDoubt(t)
  type(saving, 'take-back --force')
  const out = await saving.ended
  t.is((lastJson(out).devices as { state: string }[])[0]?.state, 'running')
  type(restoring, 'discard')
  const into = await restoring.ended
  t.true(into.status !== null)
})

test('a closed standard input ends both with status 4', async (t) => {
  const { saving, restoring } = await inDoubt(t)
  saving.child.stdin?.end()
  restoring.child.stdin?.end()
  t.is((await saving.ended).status, 4)
  t.is((await restoring.ended).status, 4)
})

test('a third signal ends with status 4; the first ones are answered', async (t) => {
  const { saving, restoring } = await inDoubt(t)
  saving.child.kill('SIGINT')
  await saving.said('ERR_VFIO_TOO_LATE')
  saving.child.kill('SIGTERM')
  await saving.said(/SIGTERM: ERR_VFIO_TOO_LATE/)
  saving.child.kill('SIGINT')
  t.is((await saving.ended).status, 4)
  restoring.child.stdin?.end()
  t.is((await restoring.ended).status, 4)
})
