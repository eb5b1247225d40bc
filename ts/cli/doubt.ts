import { createInterface } from 'node:readline'
import { isVfioError } from '../errors.ts'
import { status } from './exit.ts'
import type { Output } from './output.ts'

/** What can be decided at one end while it is in doubt. */
export type Decisions = Readonly<Record<string, () => Promise<unknown>>>

/** How a session is told to end, by a signal. */
export interface Cancellable {
  readonly inDoubt: boolean
  cancel(reason?: unknown): void
}

/** A third signal ends the program, whatever it holds. */
const LAST = 3

/**
 * Answers signals: the first ones cancel the session, which leaves the source running; after the guest was given up they
 * are too late, and say so. Returns what takes the answers away again.
 */
export const answerSignals = (session: Cancellable, output: Output): (() => void) => {
  let count = 0
  let tooLate = false
  const answer = (signal: NodeJS.Signals) => {
    count += 1
    if (count >= LAST) {
      output.endLive(true)
      const inDoubt = session.inDoubt || tooLate
      output.note(`vfio-migration: third signal: ended ${inDoubt ? 'while in doubt' : 'at once'}`)
      process.exit(inDoubt ? status.inDoubt : status.cancelled)
    }
    try {
      session.cancel(`${signal} received`)
      output.note(`vfio-migration: ${signal}: cancelling, everything goes back to where it was`)
    } catch (error) {
      tooLate ||= isVfioError(error, 'ERR_VFIO_TOO_LATE')
      const text = isVfioError(error) ? `${error.code}: ${error.message}` : String(error)
      output.note(`vfio-migration: ${signal}: ${text}; a third signal ends this program`)
    }
  }
  process.on('SIGINT', answer)
  process.on('SIGTERM', answer)
  return () => {
    process.off('SIGINT', answer)
    process.off('SIGTERM', answer)
  }
}

/**
 * Takes decisions from standard input while a session is in doubt. A closed standard input ends the program: then nobody
 * is left who could decide.
 */
export const askForDecision = (decisions: Decisions, output: Output): { end(): void } => {
  const names = Object.keys(decisions)
  output.note(
    `vfio-migration: in doubt: everything is held; type ${names.join(' or ')}, or close standard input to end with status 4`,
  )
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    const decide = decisions[line.trim()]
    if (!decide) return output.note(`vfio-migration: '${line.trim()}' is none of ${names.join(', ')}`)
    decide().catch((error: unknown) => {
      // What ends the session is told where its end is waited for.
      if (isVfioError(error, 'ERR_VFIO_USAGE')) output.note(`vfio-migration: ${error.message}`)
    })
  })
  let over = false
  lines.on('close', () => {
    if (over) return
    output.endLive(true)
    output.note('vfio-migration: standard input was closed while in doubt: ask the other end who has the guest')
    process.exit(status.inDoubt)
  })
  return {
    end() {
      over = true
      lines.close()
      process.stdin.destroy()
    },
  }
}
