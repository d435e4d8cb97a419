/**
 * clawmesh.mesh.v1.MeshService: identifies the caller, explains which agents it may call, and issues its egress token.
 */

import { errorToStatus, protoDefinition } from '@clawmesh/agent-sdk/calls'
import {
  type AgentIdentity,
  type EgressClaims,
  formatPeerName,
  type Identity,
  MESH_SERVICE,
  METADATA_CALLER,
  METADATA_DELEGATION,
  MeshError,
  type Peer,
  type Secret,
  type SpiffeTemplate,
  type Timestamp,
  toTimestamp,
} from '@clawmesh/proto'
import { serviceOf } from '@clawmesh/proto/wire'
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
  type OwnCall,
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
  /** Null requests all destinations that policy allows; no life, in milliseconds, the configured one. @throws MeshError MESH_TOKEN_REQUEST_INVALID */
  readonly issueEgressToken: (
    agent: Peer,
    destinations: readonly string[] | null,
    chain: TokenChain | null,
    boundTo: string | null,
    certificate: ExchangedCertificate | null,
    ttlMs?: number,
  ) => Promise<{ readonly token: Secret; readonly claims: EgressClaims }>
}

interface ExchangeRequest {
  readonly allowed_destinations: readonly string[]
  readonly bind_to_certificate: boolean
  readonly ttl_ms: number
}

interface ExchangeResponse {
  readonly token: string
  readonly expires: Timestamp
  readonly allowed_destinations: readonly string[]
}

/** @returns a handle that stops the long-lived streams */
export function addMeshService(server: Server, options: MeshServiceOptions): { stop(): void } {
  const { revocations = NO_REVOCATIONS, chain } = options
  const followers = createTreeFollowers({ chain, revocations })
  const service = new MeshService(options)
  server.addService(serviceOf(protoDefinition, MESH_SERVICE), {
    WhoAmI: unary((_: unknown, metadata) => service.whoAmI(metadata)),
    ListPeers: unary((_: unknown, metadata) => service.listPeers(metadata)),
    ExchangeToken: unary((request: ExchangeRequest, metadata) =>
      service.exchangeToken(request, metadata),
    ),
    Explain: unary((request: ExplainRequest, metadata) => service.explain(request, metadata)),
    FollowTrees(call: FollowTreesCall) {
      try {
        followers.follow(call, service.agent(call.metadata).id)
      } catch (cause) {
        call.emit('error', errorToStatus(cause))
      }
    },
  })
  return followers
}

/** Answers the unary methods. */
class MeshService {
  readonly #options: MeshServiceOptions

  constructor(options: MeshServiceOptions) {
    this.#options = options
  }

  caller(metadata: Metadata): Identity {
    const identity = this.#options.spiffe.parse(text(metadata, METADATA_CALLER))
    if (identity === null) throw new MeshError('MESH_IDENTITY_MALFORMED')
    return identity
  }

  agent(metadata: Metadata): AgentIdentity {
    const identity = this.caller(metadata)
    if (identity.kind !== 'agent') throw new MeshError('MESH_IDENTITY_NOT_AGENT')
    return identity
  }

  whoAmI(metadata: Metadata) {
    const identity = this.caller(metadata)
    return {
      spiffe_id: identity.id,
      tenant: identity.kind === 'agent' ? identity.tenant : '',
      agent: identity.kind === 'agent' ? identity.agent : '',
      certificate_not_after: toTimestamp(new Date(Number(text(metadata, METADATA_NOT_AFTER)))),
      certificate_fingerprint: text(metadata, METADATA_FINGERPRINT),
      gateway: this.#options.gatewayId(),
    }
  }

  listPeers(metadata: Metadata) {
    const { policy, meshDomain } = this.#options
    const { tenant, agent: name } = this.agent(metadata)
    this.#record(metadata, asked(`${tenant}/${name}`, '', ''))
    const peers = allowedPeers(policy.current(), { tenant, agent: name }).map((peer) => ({
      ...peer,
      rule: toldRule(peer.rule, tenant) ?? '',
      methods: peer.methods ?? ['*'],
      name: peer.agent === '*' || peer.tenant === '*' ? '' : formatPeerName(peer, meshDomain),
    }))
    return { peers }
  }

  async exchangeToken(request: ExchangeRequest, metadata: Metadata): Promise<ExchangeResponse> {
    const { id, tenant, agent: name } = this.agent(metadata)
    const destinations = request.allowed_destinations
    const own = this.#ownCall(metadata)
    if (own === null) throw new MeshError('MESH_CALL_CANCELED')
    const chain = await this.#chainOf(metadata, id)
    const issued = await this.#options.issueEgressToken(
      { tenant, agent: name },
      destinations.length === 0 ? null : destinations,
      chain,
      // the caller has authenticated its connection with this certificate
      request.bind_to_certificate ? thumbprint(text(metadata, METADATA_FINGERPRINT)) : null,
      own.certificate,
      request.ttl_ms === 0 ? undefined : request.ttl_ms,
    )
    own.issuedJti = issued.claims.jti
    return {
      token: issued.token.reveal(),
      expires: toTimestamp(new Date(issued.claims.exp * 1000)),
      allowed_destinations: issued.claims.allowed_destinations,
    }
  }

  explain(request: ExplainRequest, metadata: Metadata) {
    const { policy, meshDomain } = this.#options
    const to = request.host === '' ? request.to : request.host
    this.#record(metadata, asked(request.from, to, request.method))
    return explainTo(this.caller(metadata), request, { policy: policy.current(), meshDomain })
  }

  /** The chain of the delegation token that the caller presented, if any. */
  async #chainOf(metadata: Metadata, presenter: string): Promise<TokenChain | null> {
    const token = text(metadata, METADATA_DELEGATION)
    if (token === '') return null
    const claims = await this.#options.chain.present(token, presenter)
    const { act, txn, exp, allowed_destinations: allowedDestinations = null } = claims
    return { act, txn, exp, allowedDestinations }
  }

  /** Adds the question to the audit record of the call. */
  #record(metadata: Metadata, question: Asked): void {
    const own = this.#ownCall(metadata)
    if (own !== null) own.asked = question
  }

  #ownCall(metadata: Metadata): OwnCall | null {
    return this.#options.calls.find(text(metadata, METADATA_OWN_CALL))
  }
}

/** In the form of `x5t#S256` (RFC 8705). */
function thumbprint(fingerprint: string): string {
  return Buffer.from(fingerprint, 'hex').toString('base64url')
}

function unary<Request, Response>(
  answer: (request: Request, metadata: Metadata) => Response | Promise<Response>,
) {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
    // inside the promise, so that a synchronous exception of `answer` is answered too
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
