/** mesh_peers: the peers that policy lets the agent delegate to, what they can do by their own word, and which are away. */
import { listPeers, PEERS_FIELDS, readFields } from '@clawmesh/proto/tools'
import type { RunTool } from './tool-call.ts'

const MAX_TEXT = 20_000

export const peersTool: RunTool = async (given, { caller, tenant, cancelled, released }) => {
  readFields(PEERS_FIELDS, given)
  const result = await listPeers({
    ...{ allowed: await caller.peers(), tenant, maxTextLength: MAX_TEXT },
    describe: (peer) => caller.describe(peer, { retryAway: false }),
    signal: AbortSignal.any([cancelled, released]),
  })
  return cancelled.aborted ? null : result
}
