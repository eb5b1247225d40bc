import { usage } from '../errors.ts'
import { type SaveOptions, save } from '../session/save.ts'
import type { Arguments } from './arguments.ts'
import { commonOptions, follow, openDevices, regionOf, required } from './end.ts'
import { wantedPicture } from './html.ts'
import { Output } from './output.ts'
import { parseBytes, parseTime } from './quantity.ts'

const optionsOf = ({ values }: Arguments): SaveOptions => {
  const rate = values.get('rate')
  const maxPreCopy = values.get('max-pre-copy')
  const downtime = values.get('downtime')
  return {
    ...commonOptions(values),
    ...(rate === undefined ? {} : { rate: parseBytes(rate.replace(/\/s$/, ''), '--rate') }),
    ...(maxPreCopy === undefined ? {} : { maxPreCopyMs: parseTime(maxPreCopy, '--max-pre-copy') }),
    ...(downtime === undefined ? {} : { downtimeBudgetMs: parseTime(downtime, '--downtime') }),
    ...(values.get('then') === 'resume' ? { then: 'resume' } : {}),
    ...(values.has('no-pre-copy') ? { preCopy: false } : {}),
    ...(values.has('dry-run') ? { dryRun: true } : {}),
    ...(values.has('no-events') ? { events: false } : {}),
  }
}

/** `save DEVICE... --to WHERE` */
export const runSave = async (args: Arguments): Promise<number> => {
  const where = required(args, 'to')
  const options = optionsOf(args)
  if (where === '-' && process.stdout.isTTY) {
    throw usage('binary data is not written to a terminal: redirect standard output, or use --to PATH')
  }
  const picture = await wantedPicture(args.values)
  const output = new Output(args.values, where === '-')
  const devices = await openDevices(args.operands, {
    toSave: true,
    fresh: args.values.has('fresh'),
    ...regionOf(args.values),
  })
  try {
    const session = await save(devices, options)
    // Its end is waited for below.
    session
      .sendTo(where, { overwrite: args.values.has('force'), insecure: args.values.has('insecure') })
      .catch(() => {})
    return await follow(session, output, {
      title: `save to ${where === '-' ? 'standard output' : where}`,
      report: args.values.get('report'),
      picture,
      decisions: {
        'take-back': () => session.takeBack(),
        'take-back --force': () => session.takeBack({ force: true }),
        discard: () => session.discard(),
      },
    })
  } finally {
    await Promise.all(devices.map((device) => device.close()))
  }
}
