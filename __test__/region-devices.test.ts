// Devices with a migration region (protocol v1): only for who asks for them, and then like any other.
import test, { type ExecutionContext } from 'ava'
import {
  type AnyDevice,
  isVfioError,
  type OpenOptions,
  openDevice,
  probe,
  restore,
  type Source,
  type State,
  type Summary,
  save,
} from 'vfio-migration'
import { type Model, openModel } from 'vfio-migration/model'
import { lastJson, Run, run } from './support/cli.js'
import { temporary } from './support/temporary.js'

const region = 'size=300KiB,window=16KiB,protocol=region'
const asked: OpenOptions = { experimentalRegion: {} }
/** For walks that are computed. */
type Untyped = { readonly state: string; readonly spent: boolean; to(target: State): Promise<Untyped> }

const model = async (t: ExecutionContext, settings: string, options = asked) => {
  const opened = await openModel(`model:${settings}`, { id: 'gpu0', ...options })
  t.teardown(() => opened.device.close())
  return opened
}

test('nobody gets one who does not ask for it, and is told why and how', async (t) => {
  for (const opened of [openDevice(`model:${region}`), openModel(`model:${region}`), probe(`model:${region}`)]) {
    const error = await t.throwsAsync(opened, { code: 'ERR_VFIO_USAGE', message: /migration region.*experimental/ })
    t.true(isVfioError(error) && error.details.remedy?.includes('experimentalRegion'))
  }
  for (const command of [
    ['save', `model:${region}`, '--to', 'nowhere'],
    ['restore', `model:${region}`, '--from', 'nowhere'],
    ['probe', `model:${region}`],
  ]) {
    const { status, stderr } = await run(...command)
    t.is(status, 2)
    t.regex(stderr, /migration region.*experimental.*--experimental-region/)
  }
})

test('an option that makes no sense is refused', async (t) => {
  const wrong = (options: unknown) => openDevice(`model:${region}`, options as OpenOptions)
  await t.throwsAsync(wrong({ experimentalRegion: true }), { code: 'ERR_VFIO_USAGE', message: /is an object/ })
  await t.throwsAsync(wrong({ experimentalRegion: { dialect: 'klingon' } }), {
    code: 'ERR_VFIO_USAGE',
    message: /'klingon' is no dialect.*thread, qemu, libvfio-user/,
  })
})

test('how much of a device is put up with can be limited', async (t) => {
  const file = await temporary(t)
  const saved = async (settings: string, experimentalRegion: OpenOptions['experimentalRegion'] & {}) => {
    const { device } = await model(t, settings, { experimentalRegion })
    const saving = await save(device, { preCopy: false })
    return t.throwsAsync(saving.sendTo({ file: file('state') }, { overwrite: true }))
  }
  const large = await saved(region, { maxStopCopyBytes: 100_000 })
  t.true(isVfioError(large, 'ERR_VFIO_DEVICE_FAILED'), String(large))
  t.regex(String(large), /100000/)
  // It says for ever that bytes are pending, and gives none.
  const empty = await saved(`${region},fault=read-data-size@1+:zero`, { maxEmptyRounds: 3 })
  t.regex(String(empty), /said 4 times/)
  for (const wrong of [{ maxStopCopyBytes: -1 }, { maxStopCopyBytes: 1.5 }, { maxEmptyRounds: 2 ** 32 }]) {
    await t.throwsAsync(openDevice(`model:${region}`, { experimentalRegion: wrong }), {
      code: 'ERR_VFIO_USAGE',
      message: /^max(StopCopyBytes|EmptyRounds) is a number/,
    })
  }
})

test('it says what it is, and a device that speaks fsm does not mind', async (t) => {
  const { device } = await model(t, `${region},p2p`)
  t.is(device.protocol, 'region')
  t.deepEqual([...device.capabilities].sort(), ['p2p', 'pre-copy'])
  const probed = await probe(`model:${region}`, asked)
  t.like(probed, { protocol: 'region', state: 'running', capabilities: ['pre-copy'] })
  t.is((await probe('model:size=64KiB', asked)).protocol, 'fsm')
})

test('states have the same names, and a dialect that has no way is refused at once', async (t) => {
  const { device } = await model(t, `${region},p2p`)
  let at = device as unknown as Untyped
  for (const target of [
    'pre-copy',
    'pre-copy-p2p',
    'stop-copy',
    'running-p2p',
    'stop',
    'resuming',
    'running',
  ] as const) {
    // Nothing was loaded: the device refuses to leave resuming, as one that speaks fsm does.
    if (at.state === 'resuming') {
      const error = await t.throwsAsync(at.to(target))
      t.true(isVfioError(error, 'ERR_VFIO_DEVICE_FAILED') && error.details.state === 'resuming', String(error))
      continue
    }
    at = await at.to(target)
    t.is(at.state, target)
  }

  const narrow = await model(t, `${region},dialect=qemu`)
  const stopped = (await narrow.device.to('stop')) as unknown as Untyped
  await t.throwsAsync(stopped.to('resuming'), { code: 'ERR_VFIO_UNSUPPORTED', message: /no way from stop to resuming/ })
  t.false(stopped.spent)
  t.is((await stopped.to('running')).state, 'running')
})

for (const settings of ['mmap=whole,pre-copy', 'mmap=none,segment=100..9000', 'mmap=sparse,dialect=libvfio-user']) {
  test(`its data goes through JavaScript segment by segment: ${settings}`, async (t) => {
    const [source, destination] = [await model(t, `${region},${settings}`), await model(t, `${region},${settings}`)]
    await source.model.resumeGuest()
    if (!source.device.supports('pre-copy')) return t.fail()
    const pre = await source.device.to('pre-copy')
    const resuming = await destination.device.to('resuming')
    await source.model.pauseGuest()
    const copy = await pre.to('stop-copy')
    const sizes: number[] = []
    const counted = new TransformStream<Uint8Array, Uint8Array>({
      transform(segment, controller) {
        sizes.push(segment.length)
        controller.enqueue(segment)
      },
    })
    await copy.data.pipeThrough(counted).pipeTo(resuming.data, { preventClose: true })
    const running = await resuming.to('running')
    await copy.to('stop')
    t.is(running.state, 'running')
    t.is(destination.model.stopped?.proof, source.model.stopped?.proof)
    t.true(sizes.length > 10 && sizes.every((size) => size > 0 && size <= 16 << 10))
    t.is(source.model.resets + destination.model.resets, 0)
  })
}

/** Both ends in this process, over a file or a socket. */
const migrate = async (
  source: Awaited<ReturnType<typeof model>>,
  destination: Awaited<ReturnType<typeof model>>,
  place: string | { readonly unix: string },
) => {
  const saving = await save(source.device, { downtimeBudgetMs: 100, pause: () => source.model.pauseGuest() })
  const restoring = await restore(destination.device, { run: true })
  if (typeof place === 'string') {
    const out = await saving.sendTo(place)
    return [out, await restoring.receiveFrom(place)] as const
  }
  const back = restoring.receiveFrom(place as Source)
  back.catch(() => {})
  const out = await saving.sendTo(place)
  return [out, await back] as const
}

const arrived = (t: ExecutionContext, source: Model, destination: Model, summaries: readonly Summary[]) => {
  for (const { outcome } of summaries) t.is(outcome, 'completed')
  t.is(destination.stopped?.proof, source.stopped?.proof)
  t.is(source.resets + destination.resets, 0)
}

for (const dialect of ['thread', 'thread,p2p', 'qemu', 'libvfio-user']) {
  test(`a session moves it, over a socket and through a file: dialect=${dialect}`, async (t) => {
    const file = await temporary(t)
    for (const [place, settings] of [
      [{ unix: file('s') }, 'mmap=sparse,pre-copy'],
      [file('state'), 'mmap=none'],
    ] as const) {
      const all = `${region},dialect=${dialect},${settings}`
      const [source, destination] = [await model(t, all), await model(t, all)]
      await source.model.resumeGuest()
      const summaries = await migrate(source, destination, place)
      arrived(t, source.model, destination.model, summaries)
      t.is(summaries[0].devices[0]?.device?.state, 'stop')
      t.is(summaries[1].devices[0]?.device?.state, 'running')
    }
  })
}

test('through web streams', async (t) => {
  const [source, destination] = [await model(t, region), await model(t, region)]
  const [saving, restoring] = [await save(source.device), await restore(destination.device, { run: true })]
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const summaries = await Promise.all([saving.sendTo(writable), restoring.receiveFrom(readable)])
  arrived(t, source.model, destination.model, summaries)
})

test('a smaller window at the destination: refused, or split where the device bears it', async (t) => {
  const file = await temporary(t)
  const narrow = 'size=300KiB,window=8KiB,protocol=region,tolerate=split-segments'
  const source = await model(t, region)
  const refusing = await model(t, narrow)
  const error = await t.throwsAsync(migrate(source, refusing, { unix: file('s') }))
  t.true(isVfioError(error), String(error))
  const [live] = (isVfioError(error) && error.details.summary?.devices) || []
  t.is(live?.device?.state, 'running', 'the source has the guest')

  const splitting = await model(t, narrow, { experimentalRegion: { splitSegments: true } })
  const summaries = await migrate({ ...source, device: live?.device as typeof source.device }, splitting, file('state'))
  arrived(t, source.model, splitting.model, summaries)
})

test('an error at a register: the change fails, and the handle says where the device is', async (t) => {
  const { device } = await model(t, `${region},fault=write-device-state@1:EIO`)
  const error = await t.throwsAsync(device.to('stop'))
  if (!isVfioError(error, 'ERR_VFIO_DEVICE_FAILED')) return t.fail(String(error))
  t.like(error.details, { from: 'running', to: 'stop', errno: 'EIO', state: 'running' })
  t.regex(error.message, /writing device_state failed/)
  const live = error.details.device as AnyDevice
  if (live.state !== 'running') return t.fail(live.state)
  t.is((await live.to('stop')).state, 'stop')
})

test('a fault in a session: the source has the guest again, and says so', async (t) => {
  const file = await temporary(t)
  for (const [at, source, destination] of [
    ['the source', ',fault=read-data-size@3:EIO', ''],
    ['the destination', '', ',fault=write-data-size@3:EIO'],
    ['the destination, before any data', '', ',fault=write-device-state@1:EIO'],
  ] as const) {
    const from = await model(t, `${region}${source}`)
    const to = await model(t, `${region}${destination}`)
    const saving = await save(from.device)
    const restoring = await restore(to.device)
    const back = restoring.receiveFrom({ unix: file('s') })
    back.catch(() => {})
    const error = await t.throwsAsync(saving.sendTo({ unix: file('s') }), undefined, at)
    await t.throwsAsync(back, undefined, at)
    const summary = isVfioError(error) ? error.details.summary : undefined
    t.is(summary?.devices[0]?.outcome, 'returned', `${at}: ${error}`)
    t.is(summary?.devices[0]?.device?.state, 'running', at)
    t.is(from.model.resets, 0, at)
  }
})

test('a device that cannot stop after loading runs at once: nothing is lost', async (t) => {
  const [source, destination] = [await model(t, region), await model(t, `${region},fault=write-device-state@2:EIO`)]
  const summaries = await migrate(source, destination, { unix: (await temporary(t))('s') })
  arrived(t, source.model, destination.model, summaries)
  t.false(summaries[1].objects[0]?.walked.some(({ state }) => state === 'stop'))
})

test('two processes move one: --experimental-region, --dialect, --split-segments', async (t) => {
  const file = await temporary(t)
  const device = `gpu0=model:${region}`
  const flags = ['--experimental-region', '--json']
  const restoring = new Run(['restore', device, '--from', `unix:${file('s')}`, ...flags])
  t.teardown(() => restoring.child.kill('SIGKILL'))
  const saving = await run('save', device, '--to', `unix:${file('s')}`, ...flags, '--dialect', 'qemu')
  t.is(saving.status, 0, saving.stderr)
  const restored = await restoring.ended
  t.is(restored.status, 0, restored.stderr)
  for (const ran of [saving, restored]) t.like(lastJson(ran), { ok: true, outcome: 'completed' })

  // Through a file, into a device with a smaller window.
  t.is((await run('save', device, '--to', file('state'), ...flags)).status, 0)
  const narrow = ['restore', 'gpu0=model:size=300KiB,window=8KiB,protocol=region,tolerate=split-segments']
  const refused = await run(...narrow, '--from', file('state'), ...flags)
  t.is(refused.status, 1)
  t.regex(refused.stderr, /window of the device here 8192/)
  const split = await run(...narrow, '--from', file('state'), ...flags, '--split-segments')
  t.is(split.status, 0, split.stderr)
})

test('probe --experimental-region says what it is; --dialect and --split-segments need it', async (t) => {
  const { status, stdout } = await run('probe', `model:${region}`, '--experimental-region')
  t.is(status, 0)
  t.regex(stdout, /protocol +region \(v1\), experimental: QEMU until 7\.2/)
  const unknown = await run('probe', `model:${region}`, '--experimental-region', '--dialect', 'klingon')
  t.is(unknown.status, 2)
  t.regex(unknown.stderr, /choose thread or qemu or libvfio-user/)
  for (const option of [['--dialect', 'qemu'], ['--split-segments']]) {
    const { status: wrong, stderr } = await run('restore', `model:${region}`, '--from', 'x', ...option)
    t.is(wrong, 2)
    t.regex(stderr, /is about migration regions.*--experimental-region/)
  }
})
