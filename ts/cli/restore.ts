import { usage } from '../errors.ts'
import type { Summary } from '../session/report.ts'
import { type RestoreOptions, restore } from '../session/restore.ts'
import type { Arguments } from './arguments.ts'
import { commonOptions, follow, openDevices, regionOf, required } from './end.ts'
import { wantedPicture } from './html.ts'
import { keepingOf } from './keep.ts'
import { Output } from './output.ts'

const optionsOf = ({ values }: Arguments): RestoreOptions => {
  const then = values.get('then')
  return { ...commonOptions(values), ...(then === undefined ? {} : { run: then === 'run' }) }
}

/** `restore DEVICE... --from WHERE` */
export const runRestore = async (args: Arguments): Promise<number> => {
  const where = required(args, 'from')
  const options = optionsOf(args)
  if (where === '-' && process.stdin.isTTY) {
    throw usage('binary data is not read from a terminal: redirect standard input, or use --from PATH')
  }
  if (args.values.has('force') && !args.values.has('html')) throw usage('restore --force goes with --html')
  const keeping = keepingOf(args, where)
  const picture = await wantedPicture(args.values)
  const output = new Output(args.values)
  const devices = await openDevices(args.operands, regionOf(args.values))
  try {
    keeping.check(devices)
    const session = await restore(devices, options)
    // Its end is waited for below.
    session.receiveFrom(where, { insecure: args.values.has('insecure') }).catch(() => {})
    let summary: Summary | undefined
    const ended = await follow(session, output, {
      title: `restore from ${where === '-' ? 'standard input' : where}`,
      report: args.values.get('report'),
      picture,
      decisions: { claim: () => session.claim(), discard: () => session.discard() },
      done: (whole) => {
        summary = whole
      },
    })
    return summary ? await keeping.keep(summary, output) : ended
  } finally {
    await Promise.all(devices.map((device) => device.close()))
  }
}
