/**
 * A method of gRPC for a span, by OpenTelemetry's semantic conventions for RPC: names of spans are few, whatever a client
 * makes up. Known are the methods of Clawmesh, of A2A, of MCP, and of gRPC itself.
 */
import type { AttributeValue } from '@clawmesh/agent-sdk/mesh'
import { DELEGATION_SERVICE, HEALTH_SERVICE, MESH_SERVICE } from '@clawmesh/proto'

/** Of MCP at the delegation port, as the audit log has them. */
const MCP = ['mcp', 'mcp/initialize', 'mcp/ping', 'mcp/tools/list', 'mcp/tools/call']
const SERVICES: Readonly<Record<string, string>> = Object.freeze({
  [DELEGATION_SERVICE]: 'Delegate Watch Get List Cancel SendInput Describe',
  [MESH_SERVICE]: 'WhoAmI ListPeers ExchangeToken Explain FollowTrees',
  [HEALTH_SERVICE]: 'Check List Watch',
  'grpc.reflection.v1.ServerReflection': 'ServerReflectionInfo',
  'grpc.reflection.v1alpha.ServerReflection': 'ServerReflectionInfo',
  'lf.a2a.v1.A2AService':
    'SendMessage SendStreamingMessage GetTask ListTasks CancelTask SubscribeToTask',
  'a2a.v1.A2AService': 'SendMessage SendStreamingMessage GetTask CancelTask TaskSubscription',
})
const KNOWN: ReadonlySet<string> = new Set([
  ...MCP,
  ...Object.entries(SERVICES).flatMap(([service, methods]) =>
    methods.split(' ').map((method) => `${service}/${method}`),
  ),
])
const SYSTEM = 'grpc'

export interface RpcSpan {
  /** The method, or `grpc` for one that is not known. */
  readonly name: string
  readonly attributes: Readonly<Record<string, AttributeValue>>
}

/** @param method `package.Service/Method`; null for a request that is no call */
export function rpcSpan(method: string | null): RpcSpan {
  const known = method === null || KNOWN.has(method)
  return {
    name: known ? (method ?? 'delegation') : SYSTEM,
    attributes: {
      'rpc.system': SYSTEM,
      'rpc.method': known ? method : '_OTHER',
      'rpc.method_original': known ? null : method,
    },
  }
}
