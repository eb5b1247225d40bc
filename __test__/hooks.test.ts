import test from 'ava'
import { isVfioError, restore, type SessionEvent, save } from 'vfio-migration'
import { pair } from './support/pair.js'
import { temporary } from './support/temporary.js'

test('hooks are called in order, each once, and waited for', async (t) => {
  const file = await temporary(t)
  const { source, destination } = await pair(t)
  const called: string[] = []
  const hook = (name: string) => async () => {
    called.push(`${name} begins`)
    await new Promise((resolve) => setTimeout(resolve, 20))
    called.push(`${name} ends`)
  }
  const left: (bigint | undefined)[] = []
  const saving = await save(source.device, {
    pause: (rest) => {
      left.push(rest)
      return hook('pause')()
    },
    unpause: hook('unpause'),
  })
  const restoring = await restore(destination.device, { configure: hook('configure'), takeOver: hook('takeOver') })
  await Promise.all([saving.sendTo({ unix: file('s') }), restoring.receiveFrom({ unix: file('s') })])
  t.deepEqual(
    called,
    ['pause', 'configure', 'takeOver'].flatMap((name) => [`${name} begins`, `${name} ends`]),
  )
  t.is(typeof left[0], 'bigint')
})

test('pause that throws brings everything back: its error is the cause, unpause is called once', async (t) => {
  const file = await temporary(t)
  const { source, destination } = await pair(t)
  const mine = new Error('the vCPUs do not stop')
  const outcomes: string[] = []
  const saving = await save(source.device, {
    pause: () => {
      throw mine
    },
    unpause: (outcome) => {
      outcomes.push(outcome)
    },
  })
  const restoring = await restore(destination.device)
  const [out, into] = await Promise.allSettled([
    saving.sendTo({ unix: file('s') }),
    restoring.receiveFrom({ unix: file('s') }),
  ])
  if (out.status !== 'rejected' || into.status !== 'rejected') return t.fail('a pause that throws ends both')
  if (!isVfioError(out.reason, 'ERR_VFIO_HOOK')) return t.fail(String(out.reason))
  t.is(out.reason.cause, mine)
  t.regex(out.reason.message, /the vCPUs do not stop/)
  t.deepEqual(outcomes, ['returned'])
  t.is(out.reason.details.summary?.devices[0]?.device?.state, 'running')
  t.is(source.model.resets, 0)
})

test('configure that throws refuses the guest: the source keeps it', async (t) => {
  const file = await temporary(t)
  const { source, destination } = await pair(t)
  let unpaused = 0
  const saving = await save(source.device, {
    pause: () => {},
    unpause: () => {
      unpaused += 1
    },
  })
  const mine = new Error('no interrupts left')
  const restoring = await restore(destination.device, { configure: () => Promise.reject(mine) })
  const [out, into] = await Promise.allSettled([
    saving.sendTo({ unix: file('s') }),
    restoring.receiveFrom({ unix: file('s') }),
  ])
  if (out.status !== 'rejected' || into.status !== 'rejected') return t.fail('a refusal ends both')
  t.true(isVfioError(out.reason, 'ERR_VFIO_REFUSED'), String(out.reason))
  t.regex(out.reason.message, /no interrupts left/)
  t.is(into.reason.cause, mine)
  t.is(unpaused, 1)
  t.is(out.reason.details.summary.devices[0].device.state, 'running')
})

test('a hook that does not return is overdue, and unpause waits for it', async (t) => {
  const file = await temporary(t)
  const { source, destination } = await pair(t)
  const order: string[] = []
  let settle = () => {}
  const saving = await save(source.device, {
    deadlineMs: 300,
    pause: () =>
      new Promise<void>((resolve) => {
        settle = () => {
          order.push('pause returned')
          resolve()
        }
      }),
    unpause: () => {
      order.push('unpause')
    },
  })
  const restoring = await restore(destination.device)
  const seen: SessionEvent[] = []
  const following = (async () => {
    for await (const event of saving.events()) {
      seen.push(event)
      if (event.type === 'overdue') settle()
    }
  })()
  const [out] = await Promise.allSettled([
    saving.sendTo({ unix: file('s') }),
    restoring.receiveFrom({ unix: file('s') }),
  ])
  await following
  t.is(out.status, 'rejected')
  t.true(seen.some((event) => event.type === 'overdue' && event.object === 'pause'))
  t.deepEqual(order, ['pause returned', 'unpause'])
})
