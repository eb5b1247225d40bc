import { simulate } from 'vfio-migration/simulation'

/** What a scenario's text calls something that an end does in it, such as `save:30`: a fault is put there. */
export const stepOf = (scenario: string, side: 'save' | 'restore', does: string): string => {
  for (const moment of simulate(scenario).moments) {
    if (moment.type === 'step' && moment.side === side && moment.does === does) return `${side}:${moment.number}`
  }
  throw new Error(`no end does "${does}" in ${scenario}`)
}
