/** mesh_peers: the peers that policy lets this agent delegate to. */
import type { AllowedPeer } from '@clawmesh/agent-sdk'
import { PEERS_FIELDS, readFields, type ToolResult } from '@clawmesh/proto/tools'
import { type ToolContext, traceOf } from './tool.ts'

const DELEGATE_METHOD = 'clawmesh.delegation.v1.DelegationService/Delegate'

export async function listPeers(args: unknown, context: ToolContext): Promise<ToolResult> {
  readFields(PEERS_FIELDS, args ?? {})
  const { agent } = context
  const allowed = (await agent.peers(traceOf(context))).filter(takesTasks)
  const own = agent.identity.tenant
  const named = allowed.filter(({ agent: name }) => name !== '*')
  const patterns = allowed.filter(({ agent: name }) => name === '*')
  const peers = named.map((peer) => ({
    peer: peer.tenant === own ? peer.agent : `${peer.tenant}/${peer.agent}`,
    tenant: peer.tenant,
  }))
  const lines = [
    peers.length === 0
      ? 'Policy names no single peer.'
      : `You may give tasks to ${peers.length} peers:`,
    ...peers.map(({ peer }) => `- ${peer}`),
    ...patterns.map(({ tenant }) => `Any agent of the tenant ${tenant} may be asked, by its name.`),
  ]
  return {
    text: lines.join('\n'),
    isError: false,
    details: { peers, any_of_tenants: patterns.map(({ tenant }) => tenant) },
  }
}

function takesTasks({ methods }: AllowedPeer): boolean {
  return methods.some(
    (method) =>
      method === '*' ||
      method === DELEGATE_METHOD ||
      (method.endsWith('/*') && DELEGATE_METHOD.startsWith(method.slice(0, -1))),
  )
}
