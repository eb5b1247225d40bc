import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { diagnostics } from '../../diagnostics.ts'
import { usage, VfioError } from '../../errors.ts'
import type { Side } from '../../session/report.ts'
import type { Arguments } from '../arguments.ts'
import { status } from '../exit.ts'
import { wantedPicture } from '../html.ts'
import { LiveView } from '../live.ts'
import { Output } from '../output.ts'
import { bytes, parseBytes, parseCount } from '../quantity.ts'
import { type Course, EndCourse } from './course.ts'
import { ends, type Setting, type Word } from './ends.ts'
import { runOfDemo } from './picture.ts'
import { summary } from './summary.ts'
import { verdictOf } from './verdict.ts'

/** Bytes of guest memory. */
const MEMORY = 16n << 20n

/** What goes wrong at which end, for each way to break the demo. */
const breaks: Record<string, Partial<Record<Side, string>>> = {
  verify: { restore: 'fault=write@2:flip' },
  log: { save: 'fault=tracker-report@2:lost-page' },
  discard: { restore: 'fault=write@1:discard' },
}

interface Plan {
  readonly size: bigint
  readonly devices: number
  readonly settings: Record<Side, Setting>
}

/** Where both ends meet: at a socket, or where there are none, at two streams of this process. */
const meeting = (inProcess: boolean, socket: string): Record<Side, Setting['place']> => {
  if (diagnostics().form === 'native') return { save: { unix: socket }, restore: { unix: socket } }
  if (!inProcess) {
    throw new VfioError('ERR_VFIO_PLATFORM', 'there are no sockets here at which two processes could meet', {
      remedy: 'run the demo with --in-process',
    })
  }
  const [there, back] = [new TransformStream<Uint8Array>(), new TransformStream<Uint8Array>()]
  return {
    save: { writable: there.writable, readable: back.readable },
    restore: { writable: back.writable, readable: there.readable },
  }
}

const plan = ({ values, operands }: Arguments, places: Record<Side, Setting['place']>): Plan => {
  if (operands.length > 0) throw usage(`demo takes no operands: ${operands.join(' ')}`)
  const size = parseBytes(values.get('size') ?? '256MiB', '--size')
  const devices = parseCount(values.get('devices') ?? '1', '--devices', 1, 64)
  const seed = parseCount(values.get('seed') ?? '1', '--seed', 0, Number.MAX_SAFE_INTEGER)
  const broken = breaks[values.get('break') ?? ''] ?? {}
  const abilities = values.has('no-pre-copy') ? 'p2p,dirty-tracking' : 'pre-copy,p2p,dirty-tracking'
  const setting = (side: Side): Setting => ({
    devices: Array.from({ length: devices }, (_, place) => {
      // Devices that share a memory write to pages of their own, so that each can be checked.
      const address = `model:size=${size},${abilities},seed=${seed + place},lane=${place}/${devices}`
      return place === 0 && broken[side] ? `${address},${broken[side]}` : address
    }),
    memory: MEMORY,
    place: places[side],
  })
  return { size, devices, settings: { save: setting('save'), restore: setting('restore') } }
}

/** Runs one end somewhere: resolves when it is over. */
type Runner = (side: Side, setting: Setting, hear: (word: Word) => void) => Promise<void>

const inChild =
  (children: Set<ChildProcess>): Runner =>
  (side, setting, hear) =>
    new Promise((resolve, reject) => {
      const child = fork(fileURLToPath(new URL('child.js', import.meta.url)), {
        serialization: 'advanced',
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      })
      children.add(child)
      child.on('message', (word: Word) => hear(word))
      child.on('error', reject)
      child.on('exit', (code, signal) => {
        children.delete(child)
        if (code === 0) resolve()
        else
          reject(
            new VfioError(
              'ERR_VFIO_PEER',
              `the process of the ${side === 'save' ? 'source' : 'destination'} ended: ${signal ?? `status ${code}`}`,
              { remedy: 'look at what it printed' },
            ),
          )
      })
      child.send({ side, setting })
    })

/** `demo`: migrates software devices between two processes, and proves that nothing was lost. */
export const runDemo = async (args: Arguments): Promise<number> => {
  const output = new Output(args.values)
  const inProcess = args.values.has('in-process')
  if (args.values.has('force') && !args.values.has('html')) throw usage('demo --force goes with --html')
  const picture = await wantedPicture(args.values)
  const folder = await mkdtemp(join(tmpdir(), 'vfio-migration-'))
  const children = new Set<ChildProcess>()
  const stop = () => {
    output.endLive()
    for (const child of children) child.kill('SIGKILL')
    process.exit(status.cancelled)
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  try {
    const { size, devices, settings } = plan(args, meeting(inProcess, join(folder, 'migration.sock')))
    const course: Course = { save: new EndCourse(), restore: new EndCourse() }
    await run(
      inProcess ? (side, setting, hear) => ends[side](setting, hear) : inChild(children),
      settings,
      course,
      output,
    )
    const verdict = verdictOf(course)
    const title = `${devices} ${devices === 1 ? 'device' : 'devices'} of ${bytes(size)} and ${bytes(MEMORY)} of guest memory, from one ${inProcess ? 'session to another in one process' : 'process to another'}`
    await picture?.write(runOfDemo(course, verdict), title)
    output.result(summary(course, verdict, { title, width: Math.min(output.width, 120), paint: output.paint }), {
      ...verdict,
      reports: { save: course.save.result?.report, restore: course.restore.result?.report },
    })
    return verdict.identical && verdict.counterContinued && verdict.resets === 0 ? status.done : status.failed
  } finally {
    output.endLive()
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    for (const child of children) child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  }
}

/** Runs both ends: the source begins once the destination listens. */
const run = async (runner: Runner, settings: Record<Side, Setting>, course: Course, output: Output) => {
  const view = new LiveView('demo')
  output.live((width, paint) => view.draw(width, paint))
  const hear = (side: Side) => (word: Word) => {
    course[side].hear(word)
    if (word.say !== 'event') return
    if (side === 'save') view.apply(word.event)
    output.event({ side, ...word.event })
  }
  let ready = () => {}
  const listening = new Promise<void>((resolve) => {
    ready = resolve
  })
  const destination = runner('restore', settings.restore, (word) => {
    if (word.say === 'ready') ready()
    hear('restore')(word)
  })
  await Promise.race([listening, destination])
  await Promise.all([destination, runner('save', settings.save, hear('save'))])
}
