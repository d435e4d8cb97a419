/**
 * Judges every call before its handler sees it: the certificate of the connection must be that of a gateway which serves
 * the agent's tenant and the caller's, unless the agent accepts direct callers. What a direct caller says about itself in metadata is replaced by what its certificate says.
 */

import {
  METADATA_CALLER,
  METADATA_PREFIX,
  METADATA_TENANT,
  MeshError,
  type SpiffeTemplate,
} from '@clawmesh/proto'
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js'
import { checkServes } from '../tls/gateway-scope.ts'
import type { PeerCertificate } from '../tls/peer-certificate.ts'
import { errorToStatus } from '../wire/status-codec.ts'

/** Within this process: the caller is an agent that came past the gateway. */
export const METADATA_DIRECT = 'x-mesh-direct'

/**
 * Who may call this agent: `'gateway'` (only gateways of its tenant; the default), `'mesh'` (any agent of the mesh as well, directly, past
 * the policy of the gateway), or a list of agents as `'tenant/agent'` or SPIFFE IDs that may.
 */
export type AcceptFrom = 'gateway' | 'mesh' | readonly string[]

/** The agent behind the gate. */
export interface OwnPlace {
  readonly tenant: string
  readonly meshDomain: string
  readonly spiffe: SpiffeTemplate
}

/** @param identify the certificate at the other end, judged anew. @throws MeshError */
export function createCallerGate(
  acceptFrom: AcceptFrom,
  own: OwnPlace,
  identify: (call: ServerInterceptingCallInterface) => PeerCertificate,
): ServerInterceptor {
  return (_method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, pass) {
            try {
              admit(identify(call), acceptFrom, own, metadata)
            } catch (error) {
              call.sendStatus(errorToStatus(error))
              return
            }
            pass(metadata)
          },
        }),
    })
}

function admit(
  peer: PeerCertificate,
  acceptFrom: AcceptFrom,
  own: OwnPlace,
  metadata: Metadata,
): void {
  const { identity } = peer
  if (identity.kind === 'gateway') {
    admitGateway(peer, own, metadata)
    return
  }
  const name = `${identity.tenant}/${identity.agent}`
  const accepted =
    acceptFrom === 'mesh' ||
    (acceptFrom !== 'gateway' && (acceptFrom.includes(identity.id) || acceptFrom.includes(name)))
  if (!accepted)
    throw new MeshError('MESH_IDENTITY_NOT_GATEWAY', `the caller is ${identity.id}, not a gateway`)
  for (const key of Object.keys(metadata.getMap()))
    if (key.startsWith(METADATA_PREFIX)) metadata.remove(key)
  metadata.set(METADATA_CALLER, identity.id)
  metadata.set(METADATA_DIRECT, '1')
  metadata.set(METADATA_TENANT, identity.tenant)
}

/**
 * A gateway delivers to agents of the tenants that it serves, and speaks for callers of those tenants: what a call
 * across tenants may do is judged by a gateway that has the policy of both.
 */
function admitGateway(gateway: PeerCertificate, own: OwnPlace, metadata: Metadata): void {
  checkServes(gateway, own.tenant, own.meshDomain)
  const callers = metadata.get(METADATA_CALLER)
  const tenants = new Set(metadata.get(METADATA_TENANT).map(String))
  for (const id of callers) {
    const caller = own.spiffe.parse(String(id))
    if (caller?.kind !== 'agent')
      throw new MeshError('MESH_IDENTITY_NOT_AGENT', 'the gateway named no agent as the caller')
    tenants.add(caller.tenant)
  }
  // one call has one caller, of one tenant
  if (callers.length > 1 || tenants.size > 1)
    throw new MeshError('MESH_IDENTITY_NOT_AGENT', 'the gateway named more than one caller')
  for (const tenant of tenants) checkServes(gateway, tenant, own.meshDomain)
}
