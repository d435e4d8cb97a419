/** What the commands mesh-gateway, mesh-pki and mesh-agent share. A door of its own: agents need none of it. */

export { outliveClosedOutput } from './closed-output.ts'
export { columns } from './columns.ts'
export type { CommandNode } from './command-meant.ts'
export { commandMeant } from './command-meant.ts'
export { explainError } from './explain-error.ts'
export { usageFault } from './usage-fault.ts'
