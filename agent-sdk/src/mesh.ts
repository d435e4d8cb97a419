/** The second door of @clawmesh/agent-sdk: what the parts of a mesh share, and a skill has no use for. */

export type { Disk, DiskOptions } from './files/disk.ts'
export { createDisk } from './files/disk.ts'
export type { FileFaultCode } from './files/file-fault.ts'
export { describeFileFault, FileFault, isUnanswered } from './files/file-fault.ts'
export type {
  Followed,
  FollowOptions,
  FollowOutcome,
  FollowWords,
  Found,
  FoundNow,
} from './files/follow.ts'
export { followFiles } from './files/follow.ts'
export type { TrailStart } from './files/link-trail.ts'
export type { Listeners } from './files/listeners.ts'
export { createListeners } from './files/listeners.ts'
export type { ReadWholeOptions } from './files/read-whole.ts'
export { readWhole } from './files/read-whole.ts'
export type { SingleFlight } from './files/single-flight.ts'
export { singleFlight } from './files/single-flight.ts'
export { createCrlVerifier } from './tls/crl/verify-crl.ts'
export type { BothEnds } from './tls/handshake-in-memory.ts'
export { handshakeInMemory } from './tls/handshake-in-memory.ts'
export { dangerousCurve } from './tls/key-curve.ts'
export { anchorOf } from './tls/peer-certificate.ts'
export { surviveLostStreams } from './tls/streams-already-gone.ts'
