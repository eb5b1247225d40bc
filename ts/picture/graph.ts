import { type Arc, arcsOf, pathOf } from './arcs.ts'
import { element, shortened, texted } from './markup.ts'
import { classOf, lookOf, patternOf, patterns } from './palette.ts'
import { endName, type Run, type RunEnd, type RunObject } from './run.ts'
import { counted } from './words.ts'

/** Devices that have walked the same way, at one end. */
export interface Walk {
  readonly side: RunEnd['side']
  readonly ids: readonly string[]
  readonly protocol: 'fsm' | 'region'
  readonly capabilities: readonly string[]
  /** Every state, the one in which the session found them first. */
  readonly states: readonly string[]
  /** How many resets there were; which steps they were cannot be told from the states alone. */
  readonly resets: number
}

/** What a device must be capable of, where nobody said what it is. */
const atLeast = (states: readonly string[]) => [
  'stop-copy',
  ...(states.some((state) => state.endsWith('-p2p')) ? ['p2p'] : []),
  ...(states.some((state) => state.startsWith('pre-copy')) ? ['pre-copy'] : []),
]

const statesOf = ({ states }: RunObject) =>
  states.map(({ what }) => what).filter((state, place, all) => place === 0 || state !== all[place - 1])

/** The ways that the devices of a run have walked, devices with the same one together. */
export const walksOf = ({ ends }: Run): Walk[] => {
  const walks = new Map<string, Walk & { readonly ids: string[] }>()
  for (const { side, objects } of ends) {
    for (const device of objects.filter(({ kind, states }) => kind === 'device' && states.length > 0)) {
      const states = statesOf(device)
      const capabilities = device.capabilities?.split('+') ?? atLeast(states)
      const [protocol, resets] = [device.protocol ?? 'fsm', device.resets ?? 0]
      const key = JSON.stringify([side, protocol, capabilities, states, resets])
      const walk = walks.get(key) ?? { side, ids: [], protocol, capabilities, states, resets }
      walk.ids.push(device.id)
      walks.set(key, walk)
    }
  }
  return [...walks.values()]
}

/** Columns and rows of the states: those that run on top, those with data to read on the right. */
const grid: Record<string, readonly [column: number, row: number]> = {
  running: [0, 0],
  'pre-copy': [1, 0],
  'running-p2p': [0, 1],
  'pre-copy-p2p': [1, 1],
  stop: [0, 2],
  'stop-copy': [1, 2],
  resuming: [0, 3],
  error: [1, 3],
}
const [nodeWidth, nodeHeight] = [122, 30]
const [columnStep, rowStep, left, top] = [176, 66, 40, 12]

interface Node {
  readonly state: string
  /** Its middle. */
  readonly x: number
  readonly y: number
  readonly column: number
  readonly row: number
}

/** Where each state stands; rows that a device has no state for are left out. */
const nodesOf = (states: ReadonlySet<string>): Map<string, Node> => {
  const strange = [...states].filter((state) => !Object.hasOwn(grid, state))
  const placed = [
    ...Object.entries(grid).filter(([state]) => states.has(state)),
    ...strange.map((state, place) => [state, [1, 4 + place]] as const),
  ]
  const rows = [...new Set(placed.map(([, [, row]]) => row))].sort((a, b) => a - b)
  return new Map(
    placed.map(([state, [column, at]]) => {
      const row = rows.indexOf(at)
      const [x, y] = [left + nodeWidth / 2 + column * columnStep, top + nodeHeight / 2 + row * rowStep]
      return [state, { state, x, y, column, row }]
    }),
  )
}

/** A line between two states, and its middle: beside the one that leads back, around what stands between. */
const lineOf = (from: Node, to: Node) => {
  const [dx, dy] = [to.x - from.x, to.y - from.y]
  if (from.column === to.column && Math.abs(from.row - to.row) > 1) {
    const outside = from.column === 0 ? -1 : 1
    const edge = from.x + (outside * nodeWidth) / 2
    const out = edge + outside * (14 + 12 * Math.abs(from.row - to.row))
    const [start, end] = [from.y + Math.sign(dy) * 5, to.y - Math.sign(dy) * 5]
    return {
      d: `M${edge} ${start}C${out} ${start} ${out} ${end} ${edge} ${end}`,
      x: edge + (out - edge) * 0.75,
      y: (start + end) / 2,
    }
  }
  const length = Math.hypot(dx, dy) || 1
  // Beside the line that leads back, if there is one: across the grid there is none.
  const beside = dx === 0 || dy === 0 ? 10 : 0
  const [ox, oy] = [(-dy / length) * beside, (dx / length) * beside]
  const reach = Math.min(
    Math.abs(nodeWidth / 2 / (dx / length || 1e-9)),
    Math.abs(nodeHeight / 2 / (dy / length || 1e-9)),
  )
  const [ux, uy] = [(dx / length) * reach, (dy / length) * reach]
  const [x1, y1, x2, y2] = [from.x + ux + ox, from.y + uy + oy, to.x - ux + ox, to.y - uy + oy]
  const fixed = (number: number) => number.toFixed(1)
  return {
    d: `M${fixed(x1)} ${fixed(y1)}L${fixed(x2)} ${fixed(y2)}`,
    x: (x1 + x2) / 2,
    y: (y1 + y2) / 2,
  }
}

interface Leg {
  readonly arc: readonly [from: string, to: string]
  /** Which steps of the way lead along here. */
  readonly steps: number[]
  /** No arc: a failure, a reset, or a number that has no name. */
  readonly leap: boolean
}

/** The arcs that were walked, each with its turns. */
const legsOf = (states: readonly string[], arcs: readonly Arc[]): Leg[] => {
  const legs = new Map<string, Leg>()
  for (const [place, to] of states.entries()) {
    const from = states[place - 1]
    if (from === undefined) continue
    const path = pathOf(arcs, from, to)
    for (const arc of path ?? [[from, to] as const]) {
      const leg = legs.get(arc.join('>')) ?? { arc, steps: [], leap: path === undefined }
      leg.steps.push(place)
      legs.set(arc.join('>'), leg)
    }
  }
  return [...legs.values()]
}

const drawNode = ({ state, x, y }: Node, walked: boolean, id: string): string => {
  const shape = { x: x - nodeWidth / 2, y: y - nodeHeight / 2, width: nodeWidth, height: nodeHeight, rx: 7 }
  const fill = walked ? patternOf(state, id) : undefined
  const label = { x, y: y + 4, 'text-anchor': 'middle' }
  return element(
    'g',
    { class: `vm-node${walked ? ' vm-walked' : ''}` },
    element('rect', { ...shape, class: walked ? classOf(state) : 'vm-idle' }),
    fill === undefined ? '' : element('rect', { ...shape, fill }),
    texted('text', { ...label, class: walked ? 'vm-on-node' : 'vm-soft' }, `${lookOf(state).letter} ${state}`),
  )
}

/** Most turns that are written beside an arc. */
const turns = 4

const drawLeg = ({ arc: [from, to], steps, leap }: Leg, nodes: ReadonlyMap<string, Node>, id: string): string => {
  const [start, end] = [nodes.get(from), nodes.get(to)]
  if (start === undefined || end === undefined) return ''
  const { d, x, y } = lineOf(start, end)
  const text = steps.length > turns ? `${steps.slice(0, turns - 1).join(' ')} …` : steps.join(' ')
  const half = Math.max(8.5, text.length * 3.3 + 4)
  return element(
    'g',
    { class: `vm-leg${leap ? ' vm-leap' : ''}` },
    texted('title', {}, `${steps.join(', ')}: ${from} to ${to}`),
    element('path', { d, 'marker-end': `url(#${id}-walked)` }),
    element('rect', { x: x - half, y: y - 8.5, width: 2 * half, height: 17, rx: 8.5 }),
    texted('text', { x, y: y + 4, 'text-anchor': 'middle' }, text),
  )
}

/** Whose graph it is, for people. */
export const walkTitle = ({ ids, side }: Walk): string => {
  const names = ids.length > 3 ? `${ids.slice(0, 2).join(', ')} and ${ids.length - 2} more` : ids.join(', ')
  return `${shortened(names, 60)} at the ${endName(side)}`
}

/**
 * The states of a device and the arcs between them, faint; bold and numbered the way that it has walked. One number at
 * several arcs is one request, whose arcs the device walked on its own. An SVG of one size, to be shrunk at will; looks
 * as `pictureStyle` says.
 */
export const stateGraph = (walk: Walk, { id = 'vm-graph' }: { readonly id?: string } = {}): string => {
  const { protocol, capabilities, states } = walk
  const arcs = arcsOf(protocol, capabilities)
  const legs = legsOf(states, arcs)
  const walked = new Set([...states, ...legs.flatMap(({ arc }) => arc)])
  const nodes = nodesOf(new Set([...arcs.flat(), ...walked]))
  const height = Math.max(...[...nodes.values()].map(({ y }) => y)) + nodeHeight / 2 + top
  const width = left * 2 + nodeWidth + columnStep
  const arrow = (name: string) =>
    element(
      'marker',
      {
        id: `${id}-${name}`,
        viewBox: '0 0 8 8',
        refX: 7,
        refY: 4,
        markerWidth: 7,
        markerHeight: 7,
        orient: 'auto',
        markerUnits: 'userSpaceOnUse',
      },
      element('path', { d: 'M0 .8L7.5 4 0 7.2z', class: `vm-head-${name}` }),
    )
  const bold = new Set(legs.map(({ arc }) => arc.join('>')))
  return element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      class: 'vm vm-graph',
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: 'img',
      'aria-labelledby': `${id}-title ${id}-desc`,
    },
    texted('title', { id: `${id}-title` }, walkTitle(walk)),
    texted(
      'desc',
      { id: `${id}-desc` },
      `${protocol}, ${capabilities.join('+')}: ${states.join(' → ')}${walk.resets > 0 ? `, ${counted(walk.resets, 'reset')}` : ''}`,
    ),
    patterns(id),
    element('defs', {}, arrow('idle'), arrow('walked')),
    ...arcs
      .filter((arc) => !bold.has(arc.join('>')))
      .map(([from, to]) => {
        const { d } = lineOf(nodes.get(from) as Node, nodes.get(to) as Node)
        return element('path', { d, class: 'vm-arc', 'marker-end': `url(#${id}-idle)` })
      }),
    ...[...nodes.values()].map((node) => drawNode(node, walked.has(node.state), id)),
    ...legs.map((leg) => drawLeg(leg, nodes, id)),
  )
}
