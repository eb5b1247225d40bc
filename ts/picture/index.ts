/**
 * Pictures of a migration: from reports, events or a stream to SVG and HTML as texts, without a DOM, a script or a
 * network.
 *
 * @module
 */
export { picture, pictureDocument } from './document.ts'
export { figures, tables } from './figures.ts'
export { type EndFacts, endOfEvents, type KnownObject } from './from-events.ts'
export { endOfReport, parseReport } from './from-report.ts'
export { runOfCourse } from './from-simulation.ts'
export { StreamCourse } from './from-stream.ts'
export { stateGraph, type Walk, walksOf, walkTitle } from './graph.ts'
export { runOf } from './joining.ts'
export {
  type Alignment,
  extentOf,
  type Mark,
  type Run,
  type RunEnd,
  type RunObject,
  type Span,
  switchoverOf,
} from './run.ts'
export { pictureStyle } from './style.ts'
export { type DrawingOptions, timeline } from './timeline.ts'
