import type { SessionEvent } from '../session/events.ts'
import type { PreCopyEnd } from '../session/report.ts'
import type { Mark } from './run.ts'

const reasons: Record<PreCopyEnd, string> = {
  converged: 'what was left fitted the downtime budget',
  'max-pre-copy': 'it took as long as it may',
  requested: 'it was asked for',
  'nothing-to-pre-copy': 'nothing could be moved while the guest ran',
}

/** Why pre-copy ended, for people. */
export const whyPreCopyEnded = (reason: PreCopyEnd): string => reasons[reason]

/** What is marked in a picture of an event; most need no mark. */
export const markOf = (event: SessionEvent): Omit<Mark, 'atMicros'> | undefined => {
  switch (event.type) {
    case 'reset':
      return {
        what: 'reset',
        object: event.device,
        text: event.now === undefined ? 'a reset failed' : `was reset, and is in ${event.now} now`,
      }
    case 'switchover':
      return { what: 'switchover', text: `pre-copy ended: ${whyPreCopyEnded(event.reason)}` }
    case 'reinit':
      return { what: 'reinit', object: event.device, text: `has new initial data, generation ${event.generation}` }
    case 'tracker-lost':
      return { what: 'tracker-lost', text: `tracker ${event.tracker} lost its log: ${event.why}` }
    case 'overdue':
      return { what: 'overdue', object: event.object, text: `${event.call} is overdue` }
    case 'failed':
      return { what: 'failed', ...(event.object === undefined ? {} : { object: event.object }), text: event.what }
    case 'given-up':
      return { what: 'given-up', text: 'the guest was given up: the destination owns it' }
    case 'in-doubt':
      return { what: 'in-doubt', text: `who owns the guest cannot be known: ${event.why}` }
    case 'too-late':
      return { what: 'too-late', text: event.why }
    case 'phase':
    case 'state':
    case 'progress':
    case 'ended':
    case 'listening':
      return undefined
    default:
      return event satisfies never
  }
}
