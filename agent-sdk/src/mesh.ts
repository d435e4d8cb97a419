/** The second door of @clawmesh/agent-sdk: what the parts of a mesh share, and a skill has no use for. */

export type { Disk, DiskOptions } from './files/disk.ts'
export { createDisk } from './files/disk.ts'
export type { FileFaultCode } from './files/file-fault.ts'
export { describeFileFault, FileFault } from './files/file-fault.ts'
export type { ReadWholeOptions } from './files/read-whole.ts'
export { readWhole } from './files/read-whole.ts'
