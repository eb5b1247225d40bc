import type { Moment } from '../simulation.ts'
import { button, el } from './dom.ts'
import type { Words } from './simulate-scenario.ts'

/** What can go wrong with a call to a device, to anything else, and with a message. */
const ofDevices = [
  ['fails(5)', 'fails with EIO'],
  ['breaks', 'breaks the device'],
  ['vanishes', 'loses the device'],
  ['late-answer', 'takes too long'],
  ['never', 'never returns'],
] as const
const ofCalls = [
  ['fails(5)', 'fails'],
  ['late-answer', 'takes too long'],
  ['never', 'never returns'],
] as const
const ofEnds = [['killed', 'kills this host']] as const
const ofMessages = [
  ['cut(0)', 'cuts the connection'],
  ['mute', 'is lost silently'],
  ['stall', 'is held up'],
  ['flip', 'is damaged'],
] as const

/** What may go wrong at a moment: a fault's text, and what the page calls it. */
export const faultsAt = (moment: Moment): (readonly [fault: string, label: string])[] => {
  const { side } = moment
  if (moment.type === 'sent') {
    const { direction, number } = moment
    return ofMessages.map(([what, label]) => [`${direction}:${number}:${what}`, label])
  }
  if (moment.type !== 'step' || side === undefined) return []
  const isCall = !/^(open|send|discard|disconnect)/.test(moment.does)
  const calls = moment.of?.startsWith('device') ? ofDevices : ofCalls
  return [...(isCall ? calls : []), ...ofEnds].map(([what, label]) => [`${side}:${moment.number}:${what}`, label])
}

/** The things that go wrong in a scenario, each to be taken away. */
export const drawFaults = (words: Words, take: (words: Words) => void): HTMLElement => {
  const wrong = words.flatMap((one, place) =>
    ['fault', 'command', 'source-model', 'destination-model'].includes(one[0]) ? [{ one, place }] : [],
  )
  if (wrong.length === 0) {
    return el('p', { class: 'soft faults' }, 'Nothing goes wrong yet: choose a call or a message below, and let it.')
  }
  return el(
    'ul',
    { class: 'faults', 'aria-label': 'What goes wrong' },
    ...wrong.map(({ one: [word, value], place }) =>
      el(
        'li',
        {},
        el('code', {}, `${word}=${value}`),
        button('Take away', { class: 'quiet', 'aria-label': `Take away ${word}=${value}` }, () =>
          take(words.filter((_, at) => at !== place)),
        ),
      ),
    ),
  )
}
