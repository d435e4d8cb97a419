/** clawmesh.mesh.v1.MeshService: who the caller is, whom it may call and why not, and its egress token. */

import { errorToStatus } from '@clawmesh/agent-sdk/mesh'
import {
  type AgentIdentity,
  type EgressClaims,
  formatPeerName,
  type Identity,
  loadProto,
  MESH_SERVICE,
  METADATA_CALLER,
  METADATA_DELEGATION,
  MeshError,
  type Peer,
  type Secret,
  type SpiffeTemplate,
  serviceOf,
  type Timestamp,
  toTimestamp,
} from '@clawmesh/proto'
import type { Metadata, Server, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js'
import { allowedPeers } from '../../policy/decide/allowed.ts'
import { toldRule } from '../../policy/read/told.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'
import { NO_REVOCATIONS } from '../../revocation/revocations.ts'
import type { ExchangedCertificate, TokenChain } from '../../tokens/issue-token.ts'
import type { ChainGate } from '../chain/chain-gate.ts'
import { type ExplainRequest, explainTo } from './explain.ts'
import {
  createTreeFollowers,
  type FollowTreesCall,
  type TreeFollowersOptions,
} from './follow-trees.ts'
import {
  type Asked,
  asked,
  METADATA_FINGERPRINT,
  METADATA_NOT_AFTER,
  METADATA_OWN_CALL,
  type OwnCalls,
} from './own-calls.ts'

export interface MeshServiceOptions {
  readonly spiffe: SpiffeTemplate
  readonly meshDomain: string
  readonly policy: { current(): PolicySnapshot }
  /** The gateway's SPIFFE ID. */
  readonly gatewayId: () => string
  readonly chain: Pick<ChainGate, 'present' | 'tree'>
  /** Default: nothing is revoked. */
  readonly revocations?: TreeFollowersOptions['revocations']
  readonly calls: Pick<OwnCalls, 'find'>
  /** Null asks for all that policy allows. @throws MeshError MESH_TOKEN_REQUEST_INVALID */
  readonly issueEgressToken: (
    agent: Peer,
    destinations: readonly string[] | null,
    chain: TokenChain | null,
    boundTo: string | null,
    certificate: ExchangedCertificate | null,
  ) => Promise<{ readonly token: Secret; readonly claims: EgressClaims }>
}

interface ExchangeRequest {
  readonly allowed_destinations: readonly string[]
  readonly bind_to_certificate: boolean
}

interface ExchangeResponse {
  readonly token: string
  readonly expires: Timestamp
  readonly allowed_destinations: readonly string[]
}

/** @returns what ends the streams that stay open */
export function addMeshService(server: Server, options: MeshServiceOptions): { stop(): void } {
  const { spiffe, meshDomain, policy } = options
  const service = serviceOf(loadProto('clawmesh/mesh/v1/mesh.proto'), MESH_SERVICE)

  function caller(metadata: Metadata): Identity {
    const identity = spiffe.parse(text(metadata, METADATA_CALLER))
    if (identity === null) throw new MeshError('MESH_IDENTITY_MALFORMED')
    return identity
  }

  function agent(metadata: Metadata): AgentIdentity {
    const identity = caller(metadata)
    if (identity.kind !== 'agent') throw new MeshError('MESH_IDENTITY_NOT_AGENT')
    return identity
  }

  /** Of the delegation token that the caller presented, if any. */
  async function chainOf(metadata: Metadata, presenter: string): Promise<TokenChain | null> {
    const token = text(metadata, METADATA_DELEGATION)
    if (token === '') return null
    const claims = await options.chain.present(token, presenter)
    const { act, txn, exp, allowed_destinations: allowedDestinations = null } = claims
    return { act, txn, exp, allowedDestinations }
  }

  function whoAmI(_: unknown, metadata: Metadata) {
    const identity = caller(metadata)
    return {
      spiffe_id: identity.id,
      tenant: identity.kind === 'agent' ? identity.tenant : '',
      agent: identity.kind === 'agent' ? identity.agent : '',
      certificate_not_after: toTimestamp(new Date(Number(text(metadata, METADATA_NOT_AFTER)))),
      certificate_fingerprint: text(metadata, METADATA_FINGERPRINT),
      gateway: options.gatewayId(),
    }
  }

  function listPeers(_: unknown, metadata: Metadata) {
    const { tenant, agent: name } = agent(metadata)
    record(metadata, asked(`${tenant}/${name}`, '', ''))
    const peers = allowedPeers(policy.current(), { tenant, agent: name }).map((peer) => ({
      ...peer,
      rule: toldRule(peer.rule, tenant) ?? '',
      methods: peer.methods ?? ['*'],
      name: peer.agent === '*' || peer.tenant === '*' ? '' : formatPeerName(peer, meshDomain),
    }))
    return { peers }
  }

  async function exchangeToken(
    request: ExchangeRequest,
    metadata: Metadata,
  ): Promise<ExchangeResponse> {
    const { id, tenant, agent: name } = agent(metadata)
    const destinations = request.allowed_destinations
    const own = options.calls.find(text(metadata, METADATA_OWN_CALL))
    if (own === null) throw new MeshError('MESH_CALL_CANCELED')
    const chain = await chainOf(metadata, id)
    const issued = await options.issueEgressToken(
      { tenant, agent: name },
      destinations.length === 0 ? null : destinations,
      chain,
      // the connection it came by was proven with this certificate
      request.bind_to_certificate ? thumbprint(text(metadata, METADATA_FINGERPRINT)) : null,
      own.certificate,
    )
    own.issuedJti = issued.claims.jti
    return {
      token: issued.token.reveal(),
      expires: toTimestamp(new Date(issued.claims.exp * 1000)),
      allowed_destinations: issued.claims.allowed_destinations,
    }
  }

  const { revocations = NO_REVOCATIONS, chain: chains } = options
  const followers = createTreeFollowers({ chain: chains, revocations })
  function followTrees(call: FollowTreesCall): void {
    try {
      followers.follow(call, agent(call.metadata).id)
    } catch (cause) {
      call.emit('error', errorToStatus(cause))
    }
  }

  /** For the audit record of the call. */
  function record(metadata: Metadata, question: Asked): void {
    const own = options.calls.find(text(metadata, METADATA_OWN_CALL))
    if (own !== null) own.asked = question
  }

  function explain(request: ExplainRequest, metadata: Metadata) {
    record(metadata, asked(request.from, request.to, request.method))
    return explainTo(caller(metadata), request, { policy: policy.current(), meshDomain })
  }

  server.addService(service, {
    WhoAmI: unary(whoAmI),
    ListPeers: unary(listPeers),
    ExchangeToken: unary(exchangeToken),
    Explain: unary(explain),
    FollowTrees: followTrees,
  })
  return followers
}

/** As `x5t#S256` has it (RFC 8705). */
function thumbprint(fingerprint: string): string {
  return Buffer.from(fingerprint, 'hex').toString('base64url')
}

function unary<Request, Response>(
  answer: (request: Request, metadata: Metadata) => Response | Promise<Response>,
) {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
    // inside the promise, so that what `answer` throws at once is an answer too
    Promise.resolve()
      .then(() => answer(call.request, call.metadata))
      .then(
        (response) => callback(null, response),
        (cause: unknown) => callback(errorToStatus(cause)),
      )
  }
}

function text(metadata: Metadata, name: string): string {
  const [value] = metadata.get(name)
  return typeof value === 'string' ? value : ''
}
