/**
 * Moves the state of VFIO devices from one host to another: devices whose states the compiler checks, and sessions with
 * progress, hooks and cancellation.
 *
 * @module
 */
export type {
  AnyDevice,
  Device,
  DeviceCore,
  Facets,
  Holding,
  Offer,
  PassportEntry,
  PreCopyInfo,
} from './device.ts'
export { type Diagnostics, diagnostics } from './diagnostics.ts'
export {
  type DirtyLog,
  type DirtyRange,
  type DirtySnapshot,
  type TrackOptions,
  type Tracks,
  trackDirty,
} from './dirty.ts'
export {
  type Diagnosis,
  doctor,
  type Finding,
  type FoundDevice,
  type FoundGroup,
  findDevice,
  type Holder,
  type HostOptions,
  listDevices,
  type Support,
} from './discovery.ts'
export {
  type CommonDetails,
  isVfioError,
  VfioError,
  type VfioErrorCode,
  type VfioErrorDetails,
} from './errors.ts'
export { compareFiles, dataOf, type FileSource, type Inspection, inspect } from './inspect.ts'
export type * from './inspection.ts'
export { toJson } from './json.ts'
export {
  type Descriptors,
  type Dialect,
  type LentTracking,
  type OpenOptions,
  openDevice,
  type RegionOptions,
} from './open.ts'
export { type Probe, type ProbeOptions, probe } from './probe.ts'
export type * from './session/events.ts'
export type { Address, Duplex, PlaceOptions, Sink, Source } from './session/place.ts'
export type * from './session/report.ts'
export { type RestoreOptions, type RestoreSession, restore } from './session/restore.ts'
export { type Savable, type SaveOptions, type SaveSession, save } from './session/save.ts'
export type { Session } from './session/session.ts'
export {
  type Allow,
  type ArcError,
  type Capability,
  isState,
  type Next,
  needs,
  type SeenState,
  type State,
  targets,
} from './states.ts'
export { diffTraces, foldTrace, type TraceChange, type TraceOptions } from './trace.ts'
