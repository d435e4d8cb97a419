/**
 * The one table of errors. A new failure is a new row here and a row in docs/reference/errors.md
 * (`npm run docs` writes it; a test insists the two agree).
 *
 * `http` answers on the egress port, `grpc` on the delegation port and from the SDK. `retryable`: the same request may
 * succeed later without a change. `final`: neither that nor a renewed certificate helps. `safe`: the message may be
 * shown to the other party; otherwise the wire carries `meaning` alone.
 */
export interface ErrorRow {
  readonly http: number
  readonly grpc: GrpcStatus
  readonly retryable: boolean
  /** A retry does not help, not even for work that ran before: an operator or an author has to change something first. */
  readonly final: boolean
  readonly safe: boolean
  readonly meaning: string
  readonly hint: string
}

/** Status codes of gRPC, https://grpc.io/docs/guides/status-codes/. */
export const GRPC_STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const

export type GrpcStatus = keyof typeof GRPC_STATUS

/** `renewal`: it passes when a certificate or a CA is renewed, as agents and gateways do by themselves. */
type Trait = 'retry' | 'renewal' | 'hidden'

function row(
  http: number,
  grpc: GrpcStatus,
  meaning: string,
  hint: string,
  ...traits: Trait[]
): ErrorRow {
  return Object.freeze({
    http,
    grpc,
    retryable: traits.includes('retry'),
    final: !traits.includes('retry') && !traits.includes('renewal'),
    safe: !traits.includes('hidden'),
    meaning,
    hint,
  })
}

export const ERRORS = Object.freeze({
  // -- identity, by certificate
  MESH_IDENTITY_NO_CERTIFICATE: row(
    401,
    'UNAUTHENTICATED',
    'no client certificate of this mesh was presented',
    'connect with a certificate of the mesh: tls.crt and tls.key of `mesh-pki issue`',
  ),
  MESH_IDENTITY_UNTRUSTED: row(
    401,
    'UNAUTHENTICATED',
    'the certificate does not chain to a CA of the mesh',
    'use a certificate issued by the CA in ca.crt, and send its intermediates with it',
    'renewal',
  ),
  MESH_IDENTITY_EXPIRED: row(
    401,
    'UNAUTHENTICATED',
    'the certificate has expired',
    'renew it, and check the clocks of both machines',
    'renewal',
  ),
  MESH_IDENTITY_REVOKED: row(
    401,
    'UNAUTHENTICATED',
    'the certificate, or the agent that it names, has been revoked',
    'get a new certificate, if the agent still may have one; `mesh-gateway revoke --list` shows who was revoked and why',
  ),
  MESH_IDENTITY_NOT_YET_VALID: row(
    401,
    'UNAUTHENTICATED',
    'the certificate is not valid yet',
    'check the clocks of both machines',
  ),
  MESH_IDENTITY_AMBIGUOUS: row(
    401,
    'UNAUTHENTICATED',
    'the certificate does not carry exactly one URI SAN',
    'issue it with one SPIFFE ID and no other URI',
  ),
  MESH_IDENTITY_MALFORMED: row(
    401,
    'UNAUTHENTICATED',
    'the identity in the certificate is not one of this mesh',
    'its URI SAN must be a SPIFFE ID of this trust domain, e.g. spiffe://mesh.internal/tenant/acme/agent/planner',
  ),
  MESH_IDENTITY_NOT_LEAF: row(
    401,
    'UNAUTHENTICATED',
    'the certificate may sign certificates or revocation lists, as only that of a CA may',
    'issue it as a leaf: no CA:TRUE, no keyCertSign, no cRLSign (X509-SVID, section 5.2)',
  ),
  MESH_IDENTITY_NOT_GATEWAY: row(
    403,
    'PERMISSION_DENIED',
    'the other side is not a gateway',
    'agents talk to each other through the gateway only',
  ),
  MESH_IDENTITY_NOT_AGENT: row(
    403,
    'PERMISSION_DENIED',
    'the caller is not an agent',
    'only agents may delegate; use the certificate of an agent',
  ),
  MESH_IDENTITY_UNREADABLE: row(
    500,
    'FAILED_PRECONDITION',
    'the certificate directory cannot be read',
    'it must hold tls.crt, tls.key and ca.crt, readable by this user',
  ),
  MESH_IDENTITY_INVALID: row(
    500,
    'FAILED_PRECONDITION',
    'the certificate files do not make a usable identity',
    '`mesh-pki inspect DIR` shows what is wrong',
  ),

  // -- policy: what an agent may do
  MESH_POLICY_DENIED: row(
    403,
    'PERMISSION_DENIED',
    'a deny rule of policy forbids it',
    'deny rules always win; the rule named must change first',
  ),
  MESH_POLICY_NOT_ALLOWED: row(
    403,
    'PERMISSION_DENIED',
    'no rule of policy allows it',
    'add an allow rule to the policy of the tenant',
  ),
  MESH_POLICY_NOT_ACCEPTED: row(
    403,
    'PERMISSION_DENIED',
    'the tenant of the callee does not accept it',
    'calls across tenants need an accept rule in the policy of the callee’s tenant',
  ),
  MESH_POLICY_NO_TENANT: row(
    403,
    'PERMISSION_DENIED',
    'the tenant has no policy',
    'add a policy file for the tenant; without one nothing is allowed',
  ),
  MESH_POLICY_MAY_NOT_ORIGINATE: row(
    403,
    'PERMISSION_DENIED',
    'this agent may act only within a delegation',
    'it has mayOriginate: false in policy',
  ),
  MESH_POLICY_TOO_COSTLY: row(
    403,
    'PERMISSION_DENIED',
    'deciding would take more steps than a decision may take',
    'the policy has too many rules or wildcards for what is asked; make it simpler',
  ),
  MESH_POLICY_INVALID: row(
    500,
    'FAILED_PRECONDITION',
    'the policy directory is not valid',
    '`mesh-gateway policy check DIR` lists every fault',
  ),

  MESH_EXPLAIN_INVALID: row(
    400,
    'INVALID_ARGUMENT',
    'the question about policy cannot be understood',
    'name agents as tenant/agent or by their full name, and the method as package.Service/Method',
  ),
  MESH_EXPLAIN_FOREIGN: row(
    403,
    'PERMISSION_DENIED',
    'the question is about calls that another tenant makes',
    'ask about calls of agents of your own tenant; a gateway may ask about any',
  ),

  // -- chains of delegation
  MESH_CHAIN_LOOP_DETECTED: row(
    403,
    'FAILED_PRECONDITION',
    'the callee is already part of this chain of delegation',
    'an agent cannot be asked to work, through others, on its own request',
  ),
  MESH_CHAIN_HOPS_EXCEEDED: row(
    403,
    'FAILED_PRECONDITION',
    'the chain of delegation is as long as it may be',
    'do the work here, or raise maxHops in the policy of the tenant the chain began in',
  ),
  MESH_CHAIN_BUDGET_EXCEEDED: row(
    403,
    'RESOURCE_EXHAUSTED',
    'the tree of delegations is as large as it may be',
    'begin anew, or raise maxDelegationsPerRoot in the policy of the tenant the tree began in',
  ),
  MESH_CHAIN_ACTOR_REFUSED: row(
    403,
    'PERMISSION_DENIED',
    'an agent in the chain of delegation is not allowed it',
    'a chain reaches only what each of its agents may reach by itself; the agent is named',
  ),
  MESH_CHAIN_REVOKED: row(
    403,
    'PERMISSION_DENIED',
    'the tree of delegations has been revoked',
    'begin anew, if you still may',
  ),

  // -- revocation
  MESH_REVOCATION_STALE: row(
    503,
    'UNAVAILABLE',
    'the list of revoked certificates is out of date',
    'put a new one in its place: `mesh-pki crl --out FILE`; or set revocation.stale to keep',
    'retry',
  ),
  MESH_REVOCATION_INVALID: row(
    500,
    'FAILED_PRECONDITION',
    'a list of what is revoked is not usable',
    'put back the last good copy of the list that is named',
  ),
  MESH_REVOCATION_MISSING: row(
    500,
    'FAILED_PRECONDITION',
    'there is no list of revocations where the configuration names one',
    'put back the one that was there; where there never was one, `mesh-gateway revoke --new` begins it',
  ),
  MESH_REVOCATION_SHARE: row(
    429,
    'RESOURCE_EXHAUSTED',
    'there is no room to revoke one more token: it is still good',
    'have an operator revoke the agent: `mesh-gateway revoke agent TENANT/AGENT` always fits; or try again when earlier tokens have ended',
    'retry',
  ),

  // -- limits
  MESH_RATE_LIMITED: row(
    429,
    'RESOURCE_EXHAUSTED',
    'the rate limit is used up',
    'wait as long as Retry-After or RetryInfo says',
    'retry',
  ),
  MESH_LIMIT_CONCURRENCY: row(
    429,
    'RESOURCE_EXHAUSTED',
    'too many are open at once',
    'close or finish one first',
    'retry',
  ),
  MESH_LIMIT_TREES: row(
    429,
    'RESOURCE_EXHAUSTED',
    'so many trees of delegations of this tenant grow at once that no more can be counted',
    'try again when some have ended; the operator of the gateway sets limits.maxTrees',
    'retry',
  ),
  MESH_LIMIT_UNAVAILABLE: row(
    503,
    'UNAVAILABLE',
    'limits cannot be judged at present',
    'try again; for the operator: the Redis that gateways count in is away, see limits.whenRedisIsAway',
    'retry',
  ),
  MESH_LIMIT_SIZE: row(
    413,
    'RESOURCE_EXHAUSTED',
    'it is larger than allowed',
    'send less at once, or in several pieces',
  ),

  // -- tokens
  MESH_TOKEN_MISSING: row(
    407,
    'UNAUTHENTICATED',
    'no egress token was presented',
    'send Proxy-Authorization: Bearer <token>, or a proxy URL http://<agent id>:<token>@host:port',
  ),
  MESH_TOKEN_MALFORMED: row(
    403,
    'UNAUTHENTICATED',
    'the credential is not a token of this gateway',
    'get one with `mesh-gateway issue-token`, POST /v1/token or MeshService.ExchangeToken',
  ),
  MESH_TOKEN_SIGNATURE: row(
    403,
    'UNAUTHENTICATED',
    'the signature of the token does not verify',
    'get a fresh token; this one was altered, or signed by another issuer',
  ),
  MESH_TOKEN_KEY_UNKNOWN: row(
    403,
    'UNAUTHENTICATED',
    'the key that signed the token is unknown or retired',
    'get a fresh token from this gateway',
  ),
  MESH_TOKEN_ALGORITHM: row(
    403,
    'UNAUTHENTICATED',
    'the token is unsigned or signed in a way that is not accepted',
    'tokens are signed with ES256; get one with `mesh-gateway issue-token`',
  ),
  MESH_TOKEN_ISSUER: row(
    403,
    'UNAUTHENTICATED',
    'the token was issued by another issuer',
    'get one from this gateway; its iss must be tokens.issuer of the configuration, or an issuer in tokens.issuers',
  ),
  MESH_TOKEN_ISSUER_UNAVAILABLE: row(
    503,
    'UNAVAILABLE',
    'the keys of the issuer of the token cannot be had',
    'try again; `mesh-gateway doctor` says what is wrong with the jwksUri of the issuer',
    'retry',
  ),
  MESH_TOKEN_TENANT: row(
    403,
    'UNAUTHENTICATED',
    'the issuer of the token may not speak for its tenant',
    'the tenants that an issuer may speak for are those in its entry of tokens.issuers',
  ),
  MESH_TOKEN_LIFETIME: row(
    403,
    'UNAUTHENTICATED',
    'the token lives longer than is accepted',
    'have its issuer make one that ends sooner, or raise maxTtlMs of the issuer',
  ),
  MESH_TOKEN_AUDIENCE: row(
    403,
    'UNAUTHENTICATED',
    'the token was issued for something else',
    'egress tokens carry aud clawmesh-egress',
  ),
  MESH_TOKEN_EXPIRED: row(
    403,
    'UNAUTHENTICATED',
    'the token has expired',
    'get a fresh one; if it is fresh, check the clocks of both machines',
  ),
  MESH_TOKEN_NOT_YET_VALID: row(
    403,
    'UNAUTHENTICATED',
    'the token is not valid yet',
    'set the clocks of both machines, e.g. by NTP; they may differ by 30 seconds',
  ),
  MESH_TOKEN_REVOKED: row(
    403,
    'UNAUTHENTICATED',
    'the token has been revoked',
    'get a fresh one, if you still may',
  ),
  MESH_TOKEN_BINDING: row(
    403,
    'UNAUTHENTICATED',
    'the token is bound to a client certificate that was not presented',
    'connect over TLS with the certificate that the token was issued to',
  ),
  MESH_TOKEN_DESTINATION: row(
    403,
    'PERMISSION_DENIED',
    'the token does not allow the destination',
    'ask for a token whose allowed_destinations names it; an empty list allows nothing',
  ),
  MESH_TOKEN_AGENT_MISMATCH: row(
    403,
    'UNAUTHENTICATED',
    'the user name is not the agent of the token',
    'the user name of the proxy URL must be the agent_id of the token',
  ),
  MESH_TOKEN_REQUEST_INVALID: row(
    400,
    'INVALID_ARGUMENT',
    'the token asked for cannot be issued',
    'ask for an agent, destinations, scope and time to live that tokens may have: docs/guides/egress.md',
  ),
  MESH_ACCOUNT_KEY_INVALID: row(
    401,
    'UNAUTHENTICATED',
    'the service-account key is not valid',
    'create one with `mesh-gateway service-account create`',
  ),

  // -- routing a delegated call
  MESH_ROUTE_NOT_GRPC: row(
    415,
    'INVALID_ARGUMENT',
    'this port speaks gRPC over HTTP/2 only',
    'POST /package.Service/Method with content-type application/grpc; for a look, use grpcurl',
  ),
  MESH_ROUTE_MALFORMED: row(
    400,
    'INVALID_ARGUMENT',
    'the target of the call is malformed',
    'set :authority or x-mesh-target to a peer name, e.g. researcher.acme.mesh.internal, optionally with :port',
  ),
  MESH_ROUTE_UNKNOWN: row(
    404,
    'NOT_FOUND',
    'the target is neither a peer nor this gateway',
    'peer names are <agent>.<tenant>.<mesh domain>; MeshService.ListPeers shows yours',
  ),

  // -- the MCP endpoint of the delegation port
  MESH_MCP_REQUEST: row(
    400,
    'INVALID_ARGUMENT',
    'the request is none that the MCP endpoint takes',
    'POST one message of JSON-RPC 2.0 as application/json to /mcp: docs/guides/mcp.md',
  ),
  MESH_MCP_METHOD: row(
    405,
    'UNIMPLEMENTED',
    'the MCP endpoint takes POST only',
    'POST messages to /mcp; it opens no stream of its own and ends no sessions, as MCP allows',
  ),
  MESH_MCP_SESSION: row(
    404,
    'NOT_FOUND',
    'there is no such session of this agent',
    'begin another one by initialize, without mcp-session-id',
  ),
  MESH_MCP_ORIGIN: row(
    403,
    'PERMISSION_DENIED',
    'a page of another origin may not use the MCP endpoint',
    'call /mcp from the host of the agent, not from a browser; leave out the Origin header',
  ),

  // -- reaching the peer
  MESH_PEER_UNRESOLVED: row(
    502,
    'UNAVAILABLE',
    'the name of the peer does not resolve',
    'check the DNS records of the peer, as the gateway’s resolver sees them, or name its address in delegation.peers',
    'retry',
  ),
  MESH_PEER_PORT_REFUSED: row(
    403,
    'PERMISSION_DENIED',
    'the peer is not called at that port',
    'leave the port out: peers listen where their SRV records say, or at 7443; for the operator: delegation.peerPorts, or delegation.peers',
  ),
  MESH_PEER_UNREACHABLE: row(
    502,
    'UNAVAILABLE',
    'the peer cannot be reached',
    'check that it runs and listens where DNS, or delegation.peers, says',
    'retry',
  ),
  MESH_PEER_UNTRUSTED: row(
    502,
    'UNAVAILABLE',
    'the certificate of the peer is not good',
    'the peer must present a current certificate of the mesh CA',
    'renewal',
  ),
  MESH_PEER_REVOKED: row(
    502,
    'UNAVAILABLE',
    'the certificate of the peer, or the peer itself, has been revoked',
    'the peer needs a new certificate, if it still may have one',
    'renewal',
  ),
  MESH_PEER_MISMATCH: row(
    502,
    'UNAVAILABLE',
    'the certificate of the peer names someone else',
    'DNS, or delegation.peers, leads to another agent than the one asked for',
  ),
  MESH_PEER_LOST: row(
    502,
    'UNAVAILABLE',
    'the connection to the peer was lost',
    'resume with Watch, or call again',
    'retry',
  ),
  MESH_PEER_DRAINING: row(
    503,
    'UNAVAILABLE',
    'the peer is shutting down and takes no new tasks',
    'try again when it runs again',
    'retry',
  ),
  MESH_PEER_PROTOCOL: row(
    502,
    'INTERNAL',
    'the peer did not answer as gRPC does',
    'see what the peer really is: grpcurl against it shows',
  ),

  MESH_PEER_UNDESCRIBED: row(
    501,
    'UNIMPLEMENTED',
    'the peer cannot describe its skills',
    'it runs an older version, or serves no skills; a skill is delegated to by its name all the same',
  ),
  MESH_PEER_METADATA_SIZE: row(
    502,
    'RESOURCE_EXHAUSTED',
    'the headers or trailers of the peer’s answer are larger than the gateway passes on',
    'the peer may send 64 KiB of headers and 64 KiB of trailers, 100 of each; what is larger belongs into messages',
  ),
  MESH_PEER_UNAUTHENTICATED: row(
    502,
    'UNAUTHENTICATED',
    'the peer answered HTTP 401, not gRPC',
    'ask who runs the peer: something in front of its service asks for a credential of its own',
  ),
  MESH_PEER_FORBIDDEN: row(
    502,
    'PERMISSION_DENIED',
    'the peer answered HTTP 403, not gRPC',
    'ask who runs the peer: something in front of its service refused the call; policy of the mesh allowed it',
  ),
  MESH_PEER_UNIMPLEMENTED: row(
    502,
    'UNIMPLEMENTED',
    'the peer answered HTTP 404, not gRPC',
    'check the names of service and method, and which server listens at the port of the peer',
  ),
  MESH_PEER_NOT_GRPC: row(
    502,
    'UNKNOWN',
    'the peer answered with an HTTP status, not with gRPC',
    'see what the peer really is: grpcurl against it shows',
  ),
  MESH_PEER_REFUSED: row(
    502,
    'UNKNOWN',
    'the peer refused the call with a code that is the gateway’s to give',
    'ask who runs the peer; fact peer_code is what it said',
  ),

  // -- tasks
  MESH_TASK_REQUEST_INVALID: row(
    400,
    'INVALID_ARGUMENT',
    'the task asked for is malformed',
    'name a skill and a UUIDv7 id, and keep parts, labels and deadline within their limits: docs/guides/skills.md',
  ),
  MESH_TASK_SKILL_UNKNOWN: row(
    404,
    'NOT_FOUND',
    'the agent has no such skill',
    'check the name of the skill',
  ),
  MESH_TASK_NOT_FOUND: row(
    404,
    'NOT_FOUND',
    'there is no such task, or it is not yours',
    'it may have been dropped after its retention',
  ),
  MESH_TASK_CONFLICT: row(
    409,
    'ALREADY_EXISTS',
    'the key or id is taken by another task',
    'use a fresh idempotency key for other content',
  ),
  MESH_TASK_CURSOR_INVALID: row(
    400,
    'OUT_OF_RANGE',
    'the task has not come that far',
    'after_seq must be a sequence number that was received',
  ),
  MESH_TASK_STORE_FULL: row(
    429,
    'RESOURCE_EXHAUSTED',
    'the agent holds as many tasks as it may',
    'read the results of earlier tasks to their end, or wait for some to end; the callee sets the bounds of its task store',
    'retry',
  ),
  MESH_TASK_STORE_LOCKED: row(
    500,
    'FAILED_PRECONDITION',
    'the task store is in use by another process',
    'end the other process, or give this one a file of its own',
  ),
  MESH_TASK_STORE_CORRUPT: row(
    500,
    'DATA_LOSS',
    'the task store cannot be read',
    'restore the file from a backup, or move it away to begin with an empty one',
  ),
  MESH_TASK_STORE_VERSION: row(
    500,
    'FAILED_PRECONDITION',
    'the task store was written by a newer version',
    'run the newer version again, or move the file away to begin with an empty one',
  ),
  MESH_TASK_STORE_FAILED: row(
    500,
    'UNAVAILABLE',
    'the task store can no longer be written',
    'check the disk of the agent: it goes on by itself when its task store can be written',
    'retry',
  ),
  MESH_TASK_INTERRUPTED: row(
    500,
    'ABORTED',
    'the agent was restarted while the task ran, and how far it came is not known',
    'check what it has done before you give it again, under another key',
  ),
  MESH_TASK_INPUT_UNEXPECTED: row(
    409,
    'FAILED_PRECONDITION',
    'the task has not asked for this input',
    'name the question by its id; Get shows those that are open',
  ),
  MESH_TASK_INPUT_INVALID: row(
    400,
    'INVALID_ARGUMENT',
    'the input is not as the schema of the skill asks',
    'correct the part that the message names; `agent.describe(peer)` shows the schema',
  ),
  MESH_TASK_OUTPUT_INVALID: row(
    502,
    'INTERNAL',
    'the result is not as the schema of the skill says',
    'tell the operator of the peer: the log of the peer says which part is wrong',
  ),
  MESH_TASK_ARTIFACT_CHANGED: row(
    500,
    'DATA_LOSS',
    'the skill was run again and made another artifact under the same name',
    'a skill that is resumed must make the same bytes again, or use another name',
  ),
  MESH_TASK_FAILED: row(500, 'UNKNOWN', 'the skill failed', 'the log of the callee has the cause'),
  MESH_TASK_CANCELED: row(
    499,
    'CANCELLED',
    'the task was cancelled',
    'delegate it again, if it is still wanted',
  ),
  MESH_TASK_REJECTED: row(
    409,
    'FAILED_PRECONDITION',
    'the skill refused the task',
    'ask for something else, or another agent: the skill chose to refuse',
  ),
  MESH_TASK_EXPIRED: row(
    504,
    'DEADLINE_EXCEEDED',
    'the deadline of the task has passed',
    'give it longer',
  ),
  MESH_TASK_INPUT_EXPIRED: row(
    504,
    'DEADLINE_EXCEEDED',
    'the task asked its caller something, and had no answer in time',
    'answer sooner; the callee sets how long its tasks wait with inputTimeoutMs of serve()',
  ),
  MESH_TASK_ORPHANED: row(
    499,
    'CANCELLED',
    'the caller has gone and the task was not detached',
    'delegate with detached: true to let it go on',
  ),

  // -- egress
  MESH_EGRESS_MALFORMED: row(
    400,
    'INVALID_ARGUMENT',
    'the request or its destination is malformed or ambiguous',
    'use CONNECT host:port or GET http://host/path with one matching Host header',
  ),
  MESH_EGRESS_HEAD_TOO_LARGE: row(
    431,
    'INVALID_ARGUMENT',
    'the head of the request is larger than the port takes',
    'send less than 16 KiB and at most 100 header fields; cookies are often the reason',
  ),
  MESH_EGRESS_LOOP: row(
    508,
    'FAILED_PRECONDITION',
    'the request has passed a gateway of the mesh before',
    'its destination, or a proxy before the gateway, leads back here; gateways are not chained',
  ),
  MESH_EGRESS_PATH_TOO_LONG: row(
    414,
    'INVALID_ARGUMENT',
    'the path is longer than rules with paths match',
    'shorten the path; for the operator: allow the host without paths',
  ),
  MESH_EGRESS_ADDRESS_REFUSED: row(
    403,
    'PERMISSION_DENIED',
    'the destination resolves to an address that is not allowed',
    'private and special addresses need allowCidrs in _global.json',
  ),
  MESH_EGRESS_PORT_REFUSED: row(
    403,
    'PERMISSION_DENIED',
    'the port of the destination is not allowed',
    'name the port in the allow rule, and in egress.ports of _global.json',
  ),
  MESH_EGRESS_SNI_MISMATCH: row(
    403,
    'PERMISSION_DENIED',
    'the TLS server name is not the CONNECT host',
    'connect to the host that you name in the handshake',
  ),
  MESH_EGRESS_NOT_TLS: row(
    403,
    'PERMISSION_DENIED',
    'the tunnel does not carry TLS',
    'what begins like TLS must be TLS, and on port 443 nothing else passes',
  ),
  MESH_EGRESS_ECH: row(
    403,
    'PERMISSION_DENIED',
    'where the tunnel leads is hidden by Encrypted Client Hello',
    'turn ECH off in the client; for the operator: egress.tls.ech and egress.tls.echOuterNames of _global.json',
  ),
  MESH_EGRESS_HOST_MISMATCH: row(
    403,
    'PERMISSION_DENIED',
    'a request in the tunnel is for another host than the tunnel',
    'open a tunnel for each host, or ask for http:// in absolute form; the Host header must be the host of CONNECT',
  ),
  MESH_EGRESS_CLEARTEXT: row(
    403,
    'PERMISSION_DENIED',
    'policy does not let this protocol pass without TLS',
    'use TLS in the tunnel, or HTTP/1.1 without upgrade to h2c; for the operator: egress.tls.clearText of _global.json',
  ),
  MESH_EGRESS_PLAINTEXT: row(
    500,
    'FAILED_PRECONDITION',
    'the egress port is on another machine and would be asked without TLS',
    'give the gateway egress.tls.dir and the agent an https:// URL, or set allowPlaintextEgress: true where the network encrypts',
  ),
  MESH_EGRESS_UNRESOLVED: row(
    502,
    'UNAVAILABLE',
    'the name of the destination does not resolve',
    'check its spelling and the gateway’s resolver',
    'retry',
  ),
  MESH_EGRESS_UNREACHABLE: row(
    502,
    'UNAVAILABLE',
    'the destination cannot be reached',
    'it refused or dropped the connection',
    'retry',
  ),
  MESH_EGRESS_LOST: row(
    502,
    'UNAVAILABLE',
    'the connection to the destination was lost',
    'the destination ended it before all was said',
    'retry',
  ),
  MESH_EGRESS_IDLE: row(
    504,
    'DEADLINE_EXCEEDED',
    'nothing was sent for too long',
    'connect again; long silences need a keep-alive of the protocol inside',
    'retry',
  ),
  MESH_EGRESS_SLOW: row(
    408,
    'DEADLINE_EXCEEDED',
    'the request did not arrive in time',
    'send the whole header within ten seconds, and keep the body moving',
    'retry',
  ),
  MESH_RELAY_CREDENTIAL: row(
    407,
    'UNAUTHENTICATED',
    'the relay was not shown its own secret',
    'use the proxy URL that `mesh-agent openclaw setup` wrote, and restart what read an older one',
  ),
  MESH_RELAY_SECRET: row(
    500,
    'FAILED_PRECONDITION',
    'the secret file of the relay cannot be used',
    'it must be one line that the relay has written, in a file of mode 0600 that this user owns',
  ),
  MESH_EGRESS_UPSTREAM: row(
    502,
    'UNAVAILABLE',
    'the destination did not answer as HTTP does',
    'the destination is at fault',
    'retry',
  ),
  MESH_EGRESS_UPSTREAM_TLS: row(
    502,
    'UNAVAILABLE',
    'no trusted TLS connection to the destination could be made',
    'its certificate must be good for the host name, and from a CA of the system or of egress.ca',
  ),
  MESH_EGRESS_TIMEOUT: row(
    504,
    'DEADLINE_EXCEEDED',
    'the destination did not answer in time',
    'try again later',
    'retry',
  ),
  MESH_EGRESS_NOT_FOUND: row(
    404,
    'NOT_FOUND',
    'the gateway has no such endpoint',
    'it has /health, /ready, /.well-known/jwks.json and /v1/token',
  ),
  MESH_EGRESS_METHOD: row(
    405,
    'UNIMPLEMENTED',
    'the endpoint does not take this method',
    'see the Allow header',
  ),

  // -- the gateway itself
  MESH_GATEWAY_DRAINING: row(
    503,
    'UNAVAILABLE',
    'the gateway is shutting down',
    'connect again; another replica will answer',
    'retry',
  ),
  MESH_GATEWAY_UNREACHABLE: row(
    503,
    'UNAVAILABLE',
    'the gateway cannot be reached',
    'check that it runs and that the address is right',
    'retry',
  ),
  MESH_GATEWAY_UNTRUSTED: row(
    502,
    'UNAUTHENTICATED',
    'the server is not a gateway of this mesh',
    'its certificate must chain to ca.crt and carry a gateway’s SPIFFE ID',
  ),
  MESH_GATEWAY_NOT_FOR_TENANT: row(
    403,
    'PERMISSION_DENIED',
    'the gateway does not serve this tenant',
    'use a gateway of this tenant, or have its certificate issued for the tenant too: `mesh-pki issue gateway --tenant TENANT ...`',
  ),
  MESH_GATEWAY_NO_DESCRIPTORS: row(
    503,
    'UNAVAILABLE',
    'the gateway has no file descriptor left',
    'try again; for the operator: raise the limit of open files (`ulimit -n`, LimitNOFILE of systemd), which `mesh-gateway doctor` shows',
    'retry',
  ),
  MESH_GATEWAY_OVERLOADED: row(
    503,
    'UNAVAILABLE',
    'the gateway has nearly used up its memory, and takes no new work',
    'try again, another replica may answer; for the operator: raise its memory limit, add replicas, or lower limits of policy',
    'retry',
  ),
  MESH_GATEWAY_MEMORY: row(
    500,
    'RESOURCE_EXHAUSTED',
    'the gateway cannot run within its memory limit',
    'raise the memory limit of its container or unit',
  ),
  MESH_GATEWAY_NOT_READY: row(
    503,
    'UNAVAILABLE',
    'the gateway is not ready',
    'GET /ready on the admin port says what is missing',
    'retry',
  ),
  MESH_GATEWAY_INTERNAL: row(
    500,
    'INTERNAL',
    'something went wrong inside',
    'the log has the cause under this request id',
    'hidden',
  ),
  MESH_CALL_DEADLINE: row(
    504,
    'DEADLINE_EXCEEDED',
    'the deadline of the call has passed',
    'give it longer',
  ),
  MESH_CALL_CANCELED: row(
    499,
    'CANCELLED',
    'the call was cancelled',
    'call again, if it is still wanted',
  ),

  // -- setting things up
  MESH_CONFIG_INVALID: row(
    500,
    'FAILED_PRECONDITION',
    'the configuration is not valid',
    '`mesh-gateway start --help` lists every setting',
  ),
  MESH_CONFIG_PORT: row(
    500,
    'FAILED_PRECONDITION',
    'the address cannot be listened on',
    'change the listen option named',
  ),
  MESH_KEYS_UNUSABLE: row(
    500,
    'FAILED_PRECONDITION',
    'the directory of signing keys is not usable',
    'put back ring.json and the PEM files from a backup; or move the directory away: the gateway makes new keys, and tokens of the old ones end',
  ),
  MESH_KEYS_TOO_SOON: row(
    500,
    'FAILED_PRECONDITION',
    'the next signing key is so new that verifiers which keep the key set may not know it',
    'wait, or rotate with --force, if a key has leaked',
    'retry',
  ),
  MESH_KEYS_READ_ONLY: row(
    500,
    'FAILED_PRECONDITION',
    'the signing keys come from elsewhere, and are not changed here',
    'rotate them where they come from; running gateways take the new ones over',
  ),
  MESH_HSM_UNAVAILABLE: row(
    503,
    'UNAVAILABLE',
    'the token with the private keys (PKCS #11) does not answer',
    'check the token, its module and that pkcs11js is installed; what needs no signature goes on',
    'retry',
    'hidden',
  ),
  MESH_HSM_PIN: row(
    500,
    'FAILED_PRECONDITION',
    'the token with the private keys (PKCS #11) does not take the PIN',
    'put the right PIN into the file of pin-source; a wrong one is tried once, so that it locks no token',
    'hidden',
  ),
  MESH_HSM_PIN_MISSING: row(
    500,
    'FAILED_PRECONDITION',
    'the PIN of the token with the private keys (PKCS #11) cannot be read',
    'put the PIN into the file of pin-source, where this program may read it; none was tried',
    'hidden',
  ),
  MESH_HSM_INVALID: row(
    500,
    'FAILED_PRECONDITION',
    'the private key in the token (PKCS #11) is missing, of another kind, or not well described',
    'write pkcs11:token=LABEL?module-path=/path/of/module.so&pin-source=file:/path/of/pin; keys are P-256',
    'hidden',
  ),
  MESH_ACCOUNTS_UNUSABLE: row(
    500,
    'FAILED_PRECONDITION',
    'the file of service accounts is not usable',
    'put back the last good copy of the file; or move it away and create the accounts anew',
  ),
  MESH_AUDIT_UNREADABLE: row(
    500,
    'FAILED_PRECONDITION',
    'the audit log cannot be read',
    'name a file that `audit.file` wrote, and that you may read',
  ),
  MESH_DISK_WRITE: row(
    500,
    'RESOURCE_EXHAUSTED',
    'a file cannot be written',
    'check free space and permissions of the directory named',
    'retry',
  ),

  // -- backups
  MESH_BACKUP_INVALID: row(
    400,
    'FAILED_PRECONDITION',
    'the archive is not a whole backup of this kind',
    'take another copy of the archive; one that was cut off or altered is never restored',
  ),
  MESH_BACKUP_PASSPHRASE: row(
    403,
    'PERMISSION_DENIED',
    'the passphrase of the archive is missing, too short or wrong',
    'give the passphrase of the archive, 12 characters or more: --passphrase-file FILE, or --passphrase-fd N',
  ),
  MESH_BACKUP_REFUSED: row(
    409,
    'FAILED_PRECONDITION',
    'the restore would overwrite something, or take something back',
    'restore into an empty directory, or an archive that is newer; --force restores it all the same',
  ),

  // -- pki
  MESH_PKI_EXISTS: row(
    409,
    'ALREADY_EXISTS',
    'there is something already, and it is not overwritten',
    'choose another directory',
  ),
  MESH_PKI_NOT_FOUND: row(
    404,
    'NOT_FOUND',
    'there is no CA there',
    'make one with `mesh-pki init`',
  ),
  MESH_PKI_PASSPHRASE: row(
    403,
    'PERMISSION_DENIED',
    'the passphrase is missing, too short or wrong',
    'give it with --passphrase-file, MESH_PKI_PASSPHRASE or at the prompt',
  ),
  MESH_PKI_NAME_REFUSED: row(
    403,
    'PERMISSION_DENIED',
    'the CA does not issue for that name',
    'names are lower-case DNS labels within the trust domain of the CA',
  ),
  MESH_PKI_CSR_REFUSED: row(
    400,
    'INVALID_ARGUMENT',
    'the certificate signing request is not acceptable',
    'make a request with one SPIFFE ID, names within the trust domain, and a key that the CA takes',
  ),
  MESH_PKI_INVALID: row(
    400,
    'FAILED_PRECONDITION',
    'the certificate or key is not valid',
    'name the file that was meant, whole and in PEM, or put it back from a backup',
  ),
})

/** A code of the table of errors, such as `MESH_POLICY_DENIED`. */
export type ErrorCode = keyof typeof ERRORS

/** True for a code of the table of errors. Never throws. */
export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(ERRORS, value)
}
