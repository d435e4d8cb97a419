/**
 * Judges every call before its handler sees it: the certificate of the connection must be a gateway's,
 * unless the agent accepts direct callers. What a direct caller says about itself in metadata is replaced by what its certificate says.
 */

import {
  type Identity,
  METADATA_CALLER,
  METADATA_PREFIX,
  METADATA_TENANT,
  MeshError,
} from '@clawmesh/proto'
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js'
import { errorToStatus } from '../wire/status-codec.ts'

/** Within this process: the caller is an agent that came past the gateway. */
export const METADATA_DIRECT = 'x-mesh-direct'

/**
 * Who may call this agent: `'gateway'` (only gateways; the default), `'mesh'` (any agent of the mesh as well, directly, past
 * the policy of the gateway), or a list of agents as `'tenant/agent'` or SPIFFE IDs that may.
 */
export type AcceptFrom = 'gateway' | 'mesh' | readonly string[]

/** @param identify who is at the other end, judged anew. @throws MeshError */
export function createCallerGate(
  acceptFrom: AcceptFrom,
  identify: (call: ServerInterceptingCallInterface) => Identity,
): ServerInterceptor {
  return (_method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, pass) {
            try {
              admit(identify(call), acceptFrom, metadata)
            } catch (error) {
              call.sendStatus(errorToStatus(error))
              return
            }
            pass(metadata)
          },
        }),
    })
}

function admit(identity: Identity, acceptFrom: AcceptFrom, metadata: Metadata): void {
  if (identity.kind === 'gateway') return
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
