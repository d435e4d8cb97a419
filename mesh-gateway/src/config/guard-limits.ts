/** Limits of the delegation port per client, per address and in all. The defaults suit 10 000 agents. */
export interface GuardLimits {
  /** Open connections, in all. */
  readonly maxConnections: number
  /** From one IPv4 address, or one /64 of IPv6. A load balancer that does not name its clients makes all of them one. */
  readonly maxConnectionsPerAddress: number
  /** With certificates of one agent. */
  readonly maxConnectionsPerAgent: number
  /** Connections without an accepted certificate and settings yet, in all. */
  readonly maxHandshakes: number
  readonly maxHandshakesPerAddress: number
  /** New connections from one address that do not authenticate; the burst is twice that. */
  readonly newConnectionsPerSecond: number
  /** From the first packet to the client's settings, in milliseconds. */
  readonly handshakeMs: number
  /** Calls of one caller to the gateway's own services; the burst is a tenth of that. */
  readonly ownCallsPerMinute: number
  /** Per connection. */
  readonly maxConcurrentStreams: number
  /** Open calls, in all, per process of the gateway. About 48 KiB each. */
  readonly maxCalls: number
  /** Of the agents of one tenant, whatever policy allows them. */
  readonly maxCallsPerTenant: number
  /** Of one agent, including calls to the gateway's own services. Policy can raise it with `concurrentStreams`. */
  readonly maxCallsPerAgent: number
  /** New streams per connection; the burst is twice that. */
  readonly streamsPerSecond: number
  /** Streams per connection that end in a reset by either side; the burst is ten times that. */
  readonly resetsPerSecond: number
  /** PING and SETTINGS frames per connection; the burst is twice that. */
  readonly controlFramesPerSecond: number
  /** Bytes per connection that belong to no call or message; the burst is eight times that. */
  readonly controlBytesPerSecond: number
  /** Per call, names and values together. */
  readonly headerBytes: number
  /** Per call. */
  readonly headerCount: number
  /** Requests to the MCP endpoint that are open at once, in all, per process of the gateway. */
  readonly maxMcpRequests: number
  /** Of one agent. */
  readonly maxMcpRequestsPerAgent: number
  /** The body of one request to the MCP endpoint. */
  readonly mcpBodyBytes: number
  /** Of all such bodies that are being read. */
  readonly mcpBufferedBytes: number
  /** Data buffered for slow readers, over all calls; over it the slowest calls are ended. */
  readonly bufferedBytes: number
  /** Silence after which the other side must answer a PING, in milliseconds. For callers and callees. */
  readonly pingMs: number
  /** The age at which a connection takes no new calls, plus or minus a tenth; 0 for never. In milliseconds. */
  readonly connectionAgeMs: number
  /** How long the calls of such a connection may continue, in milliseconds; 0 for no limit. */
  readonly connectionAgeGraceMs: number
}

export const DEFAULT_GUARD_LIMITS: GuardLimits = Object.freeze({
  maxConnections: 20_000,
  maxConnectionsPerAddress: 5_000,
  maxConnectionsPerAgent: 200,
  maxHandshakes: 1_000,
  maxHandshakesPerAddress: 500,
  newConnectionsPerSecond: 1_000,
  handshakeMs: 10_000,
  ownCallsPerMinute: 6_000,
  maxConcurrentStreams: 1_000,
  maxCalls: 10_000,
  maxCallsPerTenant: 7_500,
  maxCallsPerAgent: 1_000,
  streamsPerSecond: 10_000,
  resetsPerSecond: 200,
  controlFramesPerSecond: 5_000,
  controlBytesPerSecond: 1_048_576,
  headerBytes: 16_384,
  headerCount: 100,
  maxMcpRequests: 2_000,
  maxMcpRequestsPerAgent: 200,
  mcpBodyBytes: 4_194_304,
  mcpBufferedBytes: 67_108_864,
  bufferedBytes: 268_435_456,
  pingMs: 30_000,
  connectionAgeMs: 3_600_000,
  connectionAgeGraceMs: 3_600_000,
})
