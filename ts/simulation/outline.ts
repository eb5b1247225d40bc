import type { Moment } from './course.ts'

/** @internal Whether a moment tells the course of a migration in short; the others are its calls and messages. */
export const isOutline = (moment: Moment): boolean => {
  switch (moment.type) {
    case 'step':
    case 'sent':
    case 'received':
    case 'left':
      return false
    case 'answered':
      return moment.failed
    case 'event':
      return ['phase', 'reset', 'failed', 'switchover', 'given-up', 'in-doubt', 'overdue'].includes(moment.event.type)
    default:
      return true
  }
}
