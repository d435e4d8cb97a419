/**
 * Which calls start a task, so that the callee is given a delegation token and the call counts in hops and budgets.
 * Ours, and those of A2A: the gateway goes by the method alone, since it reads no payload.
 */
const TASK_STARTING: ReadonlySet<string> = new Set([
  'clawmesh.delegation.v1.DelegationService/Delegate',
  'lf.a2a.v1.A2AService/SendMessage',
  'lf.a2a.v1.A2AService/SendStreamingMessage',
  'a2a.v1.A2AService/SendMessage',
  'a2a.v1.A2AService/SendStreamingMessage',
])

/** @param method `package.Service/Method` */
export function startsTask(method: string): boolean {
  return TASK_STARTING.has(method)
}
