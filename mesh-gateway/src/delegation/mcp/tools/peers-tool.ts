/** mesh_peers: the peers that policy lets the agent delegate to. */
import type { AllowedPeer } from '@clawmesh/agent-sdk/mesh'
import { DELEGATION_SERVICE } from '@clawmesh/proto'
import { PEERS_FIELDS, readFields } from '@clawmesh/proto/tools'
import type { RunTool, ToolCall } from './tool-call.ts'

const DELEGATE = `${DELEGATION_SERVICE}/Delegate`

export const peersTool: RunTool = async (given, call) => {
  readFields(PEERS_FIELDS, given)
  const { peers, tenants } = await namedPeers(call)
  const head =
    peers.length === 0
      ? 'Policy names no single peer.'
      : `You may give tasks to ${peers.length} peers:`
  return {
    text: [
      head,
      ...peers.map(({ peer }) => `- ${peer}`),
      ...tenants.map((tenant) => `Any agent of the tenant ${tenant} may be asked, by its name.`),
    ].join('\n'),
    isError: false,
    details: { peers, any_of_tenants: tenants },
  }
}

/** The peers by the names that tools take, and the tenants of which any agent may be asked. */
export async function namedPeers({ caller, tenant: own }: ToolCall): Promise<{
  readonly peers: readonly { readonly peer: string; readonly tenant: string }[]
  readonly tenants: readonly string[]
}> {
  const allowed = (await caller.peers()).filter(takesTasks)
  return {
    peers: allowed
      .filter(({ name }) => name !== '')
      .map(({ agent, tenant }) => ({
        peer: tenant === own ? agent : `${tenant}/${agent}`,
        tenant,
      })),
    tenants: allowed.flatMap(({ name, tenant }) => (name === '' ? [tenant] : [])),
  }
}

function takesTasks({ methods }: AllowedPeer): boolean {
  return methods.some(
    (method) =>
      method === '*' ||
      method === DELEGATE ||
      (method.endsWith('/*') && DELEGATE.startsWith(method.slice(0, -1))),
  )
}
