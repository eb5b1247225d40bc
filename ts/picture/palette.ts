import type { Phase } from '../session/report.ts'
import type { State } from '../states.ts'
import { element } from './markup.ts'

/** How a state is drawn: told apart by colour, and for those who see none by letter and pattern. */
export interface Look {
  /** One or two letters, where there is no room for the name. */
  readonly letter: string
  /** What is drawn over the colour. */
  readonly pattern?: 'stripes' | 'dots' | 'cross'
}

/**
 * The colours are in `style.ts`, by the state's name. They are those of Okabe and Ito ("Color Universal Design", 2008),
 * light enough for dark letters; what is quiet towards its peers has the colour of what it is besides, and stripes.
 */
export const looks: Record<State, Look> = {
  running: { letter: 'R' },
  'running-p2p': { letter: 'Rp', pattern: 'stripes' },
  'pre-copy': { letter: 'P' },
  'pre-copy-p2p': { letter: 'Pp', pattern: 'stripes' },
  'stop-copy': { letter: 'C' },
  stop: { letter: 'S', pattern: 'dots' },
  resuming: { letter: 'L' },
  error: { letter: 'E', pattern: 'cross' },
}

/** How a state is drawn, one of an unknown number too. */
export const lookOf = (state: string): Look => looks[state as State] ?? { letter: '?', pattern: 'cross' }

/** The class that gives a state its colour. */
export const classOf = (state: string): string => (Object.hasOwn(looks, state) ? `vm-${state}` : 'vm-unknown')

/** What phases are about: they are drawn alike. */
export const phaseKinds: Record<Phase, 'quiet' | 'flow' | 'down' | 'bad'> = {
  checking: 'quiet',
  preparing: 'quiet',
  'pre-copy': 'flow',
  loading: 'flow',
  pausing: 'down',
  grace: 'down',
  stopping: 'down',
  draining: 'down',
  configuring: 'down',
  loaded: 'down',
  'taking-over': 'down',
  finishing: 'quiet',
  returning: 'bad',
  'in-doubt': 'bad',
  ended: 'quiet',
}

/** The patterns, to be referred to by {@link patternOf} within a drawing whose ids begin with `id`. */
export const patterns = (id: string): string => {
  const pattern = (name: string, size: number, shape: string) =>
    element('pattern', { id: `${id}-${name}`, width: size, height: size, patternUnits: 'userSpaceOnUse' }, shape)
  const line = (d: string) => element('path', { d, class: 'vm-hatch' })
  return element(
    'defs',
    {},
    pattern('stripes', 6, line('M-1 1l2-2M0 6l6-6M5 7l2-2')),
    pattern('dots', 6, element('circle', { cx: 3, cy: 3, r: 0.9, class: 'vm-dot' })),
    pattern('cross', 6, line('M0 0l6 6M6 0l-6 6')),
  )
}

/** What fills a shape with the pattern of a state. */
export const patternOf = (state: string, id: string): string | undefined => {
  const { pattern } = lookOf(state)
  return pattern === undefined ? undefined : `url(#${id}-${pattern})`
}
