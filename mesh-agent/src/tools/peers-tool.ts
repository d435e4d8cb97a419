/** mesh_peers: the peers that policy lets this agent delegate to, what they can do by their own word, and which are away. */
import { listPeers, PEERS_FIELDS, readFields, type ToolResult } from '@clawmesh/proto/tools'
import { type ToolContext, traceOf } from './tool.ts'

export async function showPeers(
  maxTextLength: number,
  args: unknown,
  context: ToolContext,
): Promise<ToolResult> {
  readFields(PEERS_FIELDS, args ?? {})
  const { agent, maxWaitMs, signal } = context
  return listPeers({
    allowed: await agent.peers(traceOf(context)),
    tenant: agent.identity.tenant,
    describe: (peer) => agent.describe(peer, { ...traceOf(context), retryAway: false }),
    ...{ maxWaitMs, maxTextLength },
    ...(signal === undefined ? {} : { signal }),
  })
}
