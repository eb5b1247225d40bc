// Whole migrations on the virtual clock, as the facade and the command line show them.
import { readFile } from 'node:fs/promises'
import test from 'ava'
import { isVfioError } from 'vfio-migration'
import { extentOf, runOfCourse } from 'vfio-migration/picture'
import { type Course, type Scenario, scenarioText, simulate } from 'vfio-migration/simulation'
import { lastJson, run } from './support/cli.js'
import { stepOf } from './support/steps.js'
import { temporary } from './support/temporary.js'

const last = ({ moments }: Course) => moments.at(-1)?.then

test('a migration in which nothing goes wrong moves the guest', (t) => {
  for (const scenario of [
    {},
    { devices: [{ capabilities: ['p2p', 'pre-copy'] }, { capabilities: ['p2p'] }], seed: 2 },
    { devices: [{ capabilities: ['pre-copy'], protocol: 'region', dialect: 'qemu' }], seed: 3 },
    { way: 'file', seed: 4, pages: 0 },
  ] as const satisfies readonly Scenario[]) {
    const course = simulate(scenario)
    t.deepEqual(course.broken, [], course.scenario)
    t.is(course.reports.save?.outcome, 'completed', course.scenario)
    t.is(course.reports.restore?.outcome, 'completed', course.scenario)
    t.true(course.arrived, course.scenario)
    const end = last(course)
    t.like(end, { owner: 'restore', save: { guest: false, over: true }, restore: { guest: true, over: true } })
    t.is(end?.restore.bytes, course.reports.restore?.bytes)
    t.is(end?.save.bytes, course.reports.save?.bytes)
    t.like(course.moments[0]?.then, { owner: 'save', save: { guest: true }, restore: { guest: false } })
  }
})

test('the same scenario takes the same course, whether it is an object, its text, or what the course says', (t) => {
  const scenario: Scenario = {
    seed: 7,
    devices: [{ capabilities: ['p2p'] }, { capabilities: ['p2p', 'pre-copy', 'dirty-tracking'] }],
    data: 9000,
    pages: 4,
    noP2PTraffic: false,
    faults: ['restore:9:fails(5)'],
  }
  const course = simulate(scenario)
  t.deepEqual(simulate(scenarioText(scenario)), course)
  t.deepEqual(simulate(course.scenario), course)
  t.notDeepEqual(simulate({ ...scenario, seed: 8 }).moments, course.moments)
})

test('what goes wrong is in the course, and the guest is still somewhere', (t) => {
  const clean = simulate({ seed: 5, pages: 0, data: 9000 })
  const stop = clean.moments.find(
    (moment) => moment.type === 'step' && moment.side === 'restore' && moment.does === 'set state resuming to stop',
  )
  if (stop?.type !== 'step') return t.fail('it stops')
  const course = simulate({ seed: 5, pages: 0, data: 9000, faults: [`restore:${stop.number}:breaks`] })
  t.deepEqual(course.broken, [])
  t.like(last(course), { owner: 'save', save: { guest: true }, restore: { guest: false } })
  t.is(course.reports.save?.outcome, 'returned')
  const fault = course.moments.findIndex(({ type }) => type === 'fault')
  t.true(fault > 0)
  // Until there nothing differs.
  t.deepEqual(course.moments.slice(0, fault), clean.moments.slice(0, fault))
  t.true(course.moments.some((moment) => moment.type === 'changed' && moment.to === 'error'))
  t.true(course.moments.some((moment) => moment.type === 'answered' && moment.failed))
})

test('a lost word leaves both ends in doubt, and nobody runs', (t) => {
  const clean = simulate({ seed: 12, pages: 0, data: 5000 })
  const word = clean.moments.find((moment) => moment.type === 'sent' && moment.message === 'given-up')
  if (word?.type !== 'sent') return t.fail('it is given up')
  const lost = { seed: 12, pages: 0, data: 5000, faults: [`forward:${word.number}:cut(0)`] } as const
  const open = simulate({ ...lost, settle: 'nobody' })
  t.like(last(open), { owner: 'open', save: { guest: false, inDoubt: true }, restore: { guest: false, inDoubt: true } })
  t.is(open.reports.save, undefined)
  t.is(last(simulate({ ...lost, settle: 'source' }))?.owner, 'save')
})

test('a device that lies is found by the rules, not by the sessions', (t) => {
  const course = simulate({ seed: 3, data: 9000, pages: 0, destinationModel: ['write@2:discard'] })
  t.is(course.arrived, false)
  t.regex(course.broken[0]?.rule ?? '', /what runs at the destination is what stopped at the source/)
})

test('what is no scenario is refused, and what cannot begin says why', (t) => {
  const refused = (scenario: unknown, message: RegExp) => {
    const error = t.throws(() => simulate(scenario as Scenario))
    t.true(isVfioError(error, 'ERR_VFIO_USAGE'))
    t.regex(error?.message ?? '', message)
  }
  refused('sed=7', /'sed=7' is no part of a scenario/)
  refused({ data: 600_000 }, /'data=600000' .* from 0 to 524288/)
  refused({ devices: [] }, /a scenario/)
  refused({ colour: 'red' }, /no colour/)
  refused({ way: 'pipe seed=3' }, /no blanks/)
  refused({ faults: 'save:1:breaks' }, /array/)
  refused({ faults: ['save:1:explodes'] }, /explodes/)
  refused({ devices: [{ capabilities: [], dialect: 'qemu' }] }, /dialect/)
  refused({ pages: null }, /null/)
  refused(7, /an object or a text/)
  const group = [{ capabilities: ['p2p'] }, { capabilities: [] }] as const
  refused({ devices: group }, /'device1' has no P2P state/)
  t.notThrows(() => simulate({ devices: group, noP2PTraffic: true }))
  const endless = { maxPreCopyMicros: 60_000_000, ticks: 64, churn: 64, writes: 64, callMicros: 0, latencyMicros: 0 }
  refused({ data: 524_288, pages: 256, depth: 32, ...endless }, /goes on for more than/)
})

test('a course is a run that can be drawn', (t) => {
  const course = simulate({ seed: 6, devices: [{ capabilities: ['p2p', 'pre-copy'] }, { capabilities: ['p2p'] }] })
  const run = runOfCourse(course)
  t.is(run.aligned, 'clock')
  t.is(extentOf(run).fromMicros, 0)
  t.is(extentOf(run).toMicros, course.tookMicros)
  for (const end of run.ends) {
    const report = course.reports[end.side]
    t.is(end.outcome, report?.outcome)
    t.is(end.bytes, report?.bytes)
    t.deepEqual(end.downtime, report?.downtime)
    for (const { id, states, protocol } of end.objects.filter(({ kind }) => kind === 'device')) {
      // The report names the states between as well; what is drawn begins and ends where the device did.
      const walked = report?.objects.find((object) => object.id === id)?.walked.map(({ state }) => state) ?? []
      t.deepEqual([states[0]?.what, states.at(-1)?.what], [walked[0], walked.at(-1)])
      t.true(states.every(({ what }) => walked.includes(what)))
      t.true(states.length >= 4)
      const place = course.devices.findIndex((device) => device.id === id)
      t.is(states.at(-1)?.what, last(course)?.[end.side].devices[place] as (typeof walked)[number])
      t.is(protocol, 'fsm')
    }
  }
  const [save, restore] = run.ends
  const paused = course.moments.find((moment) => moment.type === 'guest' && moment.side === 'save')
  const runs = course.moments.find((moment) => moment.type === 'guest' && moment.side === 'restore')
  t.deepEqual(save?.guest, [{ what: 'runs', fromMicros: 0, toMicros: paused?.atMicros ?? 0 }])
  t.is(restore?.guest?.[0]?.fromMicros, runs?.atMicros)
})

test('simulate shows the course of a scenario in short, or every moment', async (t) => {
  const { status, stdout, stderr } = await run('simulate', 'seed=7', 'pages=4')
  t.is(status, 0, stderr)
  t.regex(stdout, /source +event phase pausing/)
  t.regex(stdout, /guest: owned by the destination, runs at the destination/)
  t.regex(stdout, /^replay: vfio-migration simulate 'seed=7 pages=4'$/m)
  t.notRegex(stdout, /-> ack/)
  const every = await run('simulate', 'seed=7 pages=4', '--moments')
  t.regex(every.stdout, /-> ack/)
  t.is(every.stdout.split('\n').filter((line) => /^ *\d/.test(line)).length, simulate('seed=7 pages=4').moments.length)
  const quiet = await run('simulate', 'seed=7', '--quiet')
  t.is(quiet.stdout, '')
})

test('simulate --html draws the course, to the end that it came to', async (t) => {
  const file = await temporary(t)
  const sound = 'seed=2 devices=stop-copy+p2p+pre-copy data=9000 pages=0'
  const fault = `fault=${stepOf(sound, 'restore', 'set state resuming to stop')}:breaks`
  const { status, stderr } = await run('simulate', `${sound} ${fault}`, '--html', file('run.html'), '--quiet')
  t.is(status, 0, stderr)
  const html = await readFile(file('run.html'), 'utf8')
  t.true(html.includes(fault))
  t.regex(html, /class="vm vm-timeline"/)
  t.regex(html, /returned/)
  const again = await run('simulate', 'seed=2', '--html', file('run.html'))
  t.is(again.status, 1)
  t.regex(again.stderr, /ERR_VFIO_EXISTS/)
  t.is((await run('simulate', 'seed=2', '--html', file('run.html'), '--force', '--quiet')).status, 0)
  t.false((await readFile(file('run.html'), 'utf8')).includes('breaks'))
})

test('simulate --json prints the course, and its status says whether a rule was broken', async (t) => {
  const sound = await run('simulate', 'seed=7', 'fault=save:12:fails(5)', '--json')
  t.is(sound.status, 0, sound.stderr)
  const { ok, course } = lastJson(sound) as { ok: boolean; course: Course }
  t.true(ok)
  t.is(course.scenario, 'seed=7 fault=save:12:fails(5)')
  t.is(course.moments.length, simulate(course.scenario).moments.length)
  const broken = await run('simulate', 'seed=3 data=9000 pages=0 destination-model=write@2:discard')
  t.is(broken.status, 1)
  t.regex(broken.stdout, /^broken: /m)
  t.is((await run('simulate', 'sed=7')).status, 2)
  t.is((await run('simulate')).status, 2)
})
