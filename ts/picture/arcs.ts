import type { State } from '../states.ts'

/** One change of state that a device accepts. */
export type Arc = readonly [from: State, to: State]

/**
 * The arcs of each set of capabilities of fsm, and those that linux/vfio.h (5.15) and the thread about it demand of a
 * region. crates/protocol/tests/arcs_of_pictures.rs compares them with the tables that sessions ask.
 */
const tables = {
  'fsm stop-copy': 'running>stop stop>running stop>stop-copy stop>resuming stop-copy>stop resuming>stop',
  'fsm stop-copy+p2p':
    'running>running-p2p running-p2p>running running-p2p>stop stop>running-p2p stop>stop-copy stop>resuming stop-copy>stop resuming>stop',
  'fsm stop-copy+pre-copy':
    'running>stop running>pre-copy stop>running stop>stop-copy stop>resuming stop-copy>stop resuming>stop pre-copy>running pre-copy>stop-copy',
  'fsm stop-copy+p2p+pre-copy':
    'running>running-p2p running>pre-copy running-p2p>running running-p2p>stop running-p2p>pre-copy-p2p stop>running-p2p stop>stop-copy stop>resuming stop-copy>stop resuming>stop pre-copy>running pre-copy>pre-copy-p2p pre-copy-p2p>running-p2p pre-copy-p2p>pre-copy pre-copy-p2p>stop-copy',
  'region stop-copy+pre-copy':
    'running>pre-copy running>stop running>stop-copy running>resuming stop-copy>stop resuming>running pre-copy>stop-copy',
  'region stop-copy+p2p+pre-copy':
    'running>pre-copy running>stop running>stop-copy running>resuming running-p2p>running stop-copy>stop resuming>running resuming>running-p2p pre-copy>pre-copy-p2p pre-copy>stop-copy pre-copy-p2p>stop-copy',
} as const

/** The arcs of a device. Capabilities that need no state, and those that this version does not know, change nothing. */
export const arcsOf = (protocol: 'fsm' | 'region', capabilities: readonly string[]): readonly Arc[] => {
  const p2p = capabilities.includes('p2p') ? ('+p2p' as const) : ''
  const preCopy = protocol === 'region' || capabilities.includes('pre-copy') ? '+pre-copy' : ''
  const name = `${protocol} stop-copy${p2p}${preCopy}` as keyof typeof tables
  return tables[name].split(' ').map((arc) => arc.split('>') as unknown as Arc)
}

/**
 * The arcs that a device walks for one request: the shortest way, and of two that which comes first in the table, as the
 * kernel goes. A way that no arcs lead, as after a reset, is no path.
 */
export const pathOf = (arcs: readonly Arc[], from: string, to: string): readonly Arc[] | undefined => {
  const ways: (readonly Arc[])[] = [[]]
  const been = new Set([from])
  for (const way of ways) {
    const here = way.at(-1)?.[1] ?? from
    if (here === to) return way
    for (const arc of arcs) {
      if (arc[0] !== here || been.has(arc[1])) continue
      been.add(arc[1])
      ways.push([...way, arc])
    }
  }
  return undefined
}
