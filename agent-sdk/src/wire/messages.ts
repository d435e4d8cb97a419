/**
 * The messages of delegation.proto and mesh.proto as they are on the wire: snake_case, as reflection shows them.
 * Nothing outside this room sees them.
 */
import { DELEGATION_SERVICE, MESH_SERVICE, type Timestamp } from '@clawmesh/proto'
import { loadProto, messageOf } from '@clawmesh/proto/wire'

export interface WirePart {
  content?: string
  text?: string
  json?: string
  bytes?: Uint8Array
  artifact?: { name: string; delegation_id: string; sha256: string }
  media_type?: string
}

export interface WireFailed {
  state: string | number
  code: string
  message: string
  hint: string
  retryable: boolean
}

export interface WireResult {
  output: WirePart[]
  more: boolean
  continues: boolean
}

export interface WireEvent {
  delegation_id: string
  seq: number
  time: Timestamp | null
  kind?: string
  accepted?: { skill: string; retention_ms: number }
  status?: { state: string | number; note: string }
  progress?: { fraction: number; note: string }
  message_delta?: { text: string }
  artifact_chunk?: {
    name: string
    media_type: string
    index: number
    data: Uint8Array
    last: boolean
    sha256: string
  }
  input_required?: { input_id: string; question: WirePart[] }
  input_received?: { input_id: string; answer: WirePart[] }
  heartbeat?: Record<string, never>
  result?: WireResult
  failed?: WireFailed
  usage?: { amounts: Record<string, number> }
}

export interface WireDelegateRequest {
  delegation_id: string
  skill: string
  input: WirePart[]
  idempotency_key: string
  task_deadline: Timestamp | null
  detached: boolean
  labels: Record<string, string>
}

export interface WireTask {
  delegation_id: string
  skill: string
  state: string | number
  caller: string
  created: Timestamp | null
  updated: Timestamp | null
  last_seq: number
  labels: Record<string, string>
  failure: WireFailed | null
  pending_inputs: string[]
}

export interface WireListRequest {
  page_size: number
  page_token: string
  states: (string | number)[]
  labels: Record<string, string>
}

export interface WireSendInputRequest {
  delegation_id: string
  input_id: string
  answer: WirePart[]
}

export interface WireSkill {
  name: string
  description: string
  input_schema: string
  output_schema: string
}

export interface WireWhoAmI {
  spiffe_id: string
  tenant: string
  agent: string
  certificate_not_after: Timestamp | null
  certificate_fingerprint: string
  gateway: string
}

export interface WirePeers {
  peers: { name: string; tenant: string; agent: string; methods: string[]; rule: string }[]
}

export interface WireToken {
  token: string
  expires: Timestamp | null
  allowed_destinations: string[]
}

export interface WireExchangeTokenRequest {
  allowed_destinations: string[]
  bind_to_certificate: boolean
  ttl_ms: number
}

export interface WireExplainRequest {
  from: string
  to: string
  method: string
  within_chain: boolean
  host: string
}

export interface WireExplanation {
  action: string
  code: string
  reason: string
  rule: string
  file: string
  hint: string
  mode: string
  generation: number
  some_requests: boolean
}

export interface WireFollowTrees {
  key: number
  delegation_token: string
}

export interface WireTreeRevoked {
  key: number
  code: string
  message: string
}

/** Everything the SDK serves or calls, as proto-loader reads it. */
export const definition = loadProto(
  'clawmesh/delegation/v1/delegation.proto',
  'clawmesh/mesh/v1/mesh.proto',
  'grpc/health/v1/health.proto',
)

const delegation = <T extends object>(name: string) =>
  messageOf<T>(definition, `clawmesh.delegation.v1.${name}`)
const mesh = <T extends object>(name: string) =>
  messageOf<T>(definition, `clawmesh.mesh.v1.${name}`)

export const messages = Object.freeze({
  event: delegation<WireEvent>('Event'),
  delegateRequest: delegation<WireDelegateRequest>('DelegateRequest'),
  watchRequest: delegation<{ delegation_id: string; after_seq: number }>('WatchRequest'),
  getRequest: delegation<{ delegation_id: string }>('GetRequest'),
  cancelRequest: delegation<{ delegation_id: string; reason: string }>('CancelRequest'),
  task: delegation<WireTask>('Task'),
  listRequest: delegation<WireListRequest>('ListRequest'),
  list: delegation<{ tasks: WireTask[]; next_page_token: string }>('ListResponse'),
  sendInputRequest: delegation<WireSendInputRequest>('SendInputRequest'),
  describeRequest: delegation<{ skills: string[] }>('DescribeRequest'),
  description: delegation<{ skills: WireSkill[] }>('DescribeResponse'),
  whoAmIRequest: mesh<object>('WhoAmIRequest'),
  whoAmI: mesh<WireWhoAmI>('WhoAmIResponse'),
  listPeersRequest: mesh<object>('ListPeersRequest'),
  peers: mesh<WirePeers>('ListPeersResponse'),
  exchangeTokenRequest: mesh<WireExchangeTokenRequest>('ExchangeTokenRequest'),
  token: mesh<WireToken>('ExchangeTokenResponse'),
  explainRequest: mesh<WireExplainRequest>('ExplainRequest'),
  explanation: mesh<WireExplanation>('ExplainResponse'),
  followTrees: mesh<WireFollowTrees>('FollowTreesRequest'),
  treeRevoked: mesh<WireTreeRevoked>('FollowTreesResponse'),
})

export const METHODS = Object.freeze({
  delegate: `/${DELEGATION_SERVICE}/Delegate`,
  watch: `/${DELEGATION_SERVICE}/Watch`,
  get: `/${DELEGATION_SERVICE}/Get`,
  cancel: `/${DELEGATION_SERVICE}/Cancel`,
  list: `/${DELEGATION_SERVICE}/List`,
  sendInput: `/${DELEGATION_SERVICE}/SendInput`,
  describe: `/${DELEGATION_SERVICE}/Describe`,
  whoAmI: `/${MESH_SERVICE}/WhoAmI`,
  listPeers: `/${MESH_SERVICE}/ListPeers`,
  exchangeToken: `/${MESH_SERVICE}/ExchangeToken`,
  explain: `/${MESH_SERVICE}/Explain`,
  followTrees: `/${MESH_SERVICE}/FollowTrees`,
})
