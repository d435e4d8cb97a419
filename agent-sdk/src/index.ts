/** The door of @clawmesh/agent-sdk. */

export type { Log } from './log.ts'
export { silentLog } from './log.ts'
