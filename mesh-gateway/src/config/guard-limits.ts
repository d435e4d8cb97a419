/** What one client, one address and all of them may take of the delegation port. Sane for 10 000 agents. */
export interface GuardLimits {
  /** Connections that are open at once, in all. */
  readonly maxConnections: number
  /** From one IPv4 address, or one /64 of IPv6. A balancer in front makes all of them one address. */
  readonly maxConnectionsPerAddress: number
  /** By certificates of one agent. */
  readonly maxConnectionsPerAgent: number
  /** Connections that have not shown a good certificate and their settings yet, in all. */
  readonly maxHandshakes: number
  readonly maxHandshakesPerAddress: number
  /** New connections from one address that do not show a good certificate in the end; twice that in a burst. */
  readonly newConnectionsPerSecond: number
  /** From the first packet to the client's settings, in milliseconds. */
  readonly handshakeMs: number
  /** Calls of one caller to the gateway's own services, a tenth of that at once. */
  readonly ownCallsPerMinute: number
  /** Of one connection. */
  readonly maxConcurrentStreams: number
  /** Calls that are open at once, in all, at each process of the gateway. About 48 KiB each. */
  readonly maxCalls: number
  /** Of the agents of one tenant, whatever policy gives them. */
  readonly maxCallsPerTenant: number
  /** Of one agent, calls to the gateway's own services among them. Policy gives more with `concurrentStreams`. */
  readonly maxCallsPerAgent: number
  /** New streams of one connection; twice that in a burst. */
  readonly streamsPerSecond: number
  /** Streams of one connection that end in a reset, whoever sent it; ten times that in a burst. */
  readonly resetsPerSecond: number
  /** PING and SETTINGS of one connection; twice that in a burst. */
  readonly controlFramesPerSecond: number
  /** Bytes of one connection that carry neither calls nor messages; eight times that in a burst. */
  readonly controlBytesPerSecond: number
  /** Of one call, names and values together. */
  readonly headerBytes: number
  /** Of one call. */
  readonly headerCount: number
  /** What waits for slow readers, of all calls together; beyond it the slowest are ended. */
  readonly bufferedBytes: number
  /** Silence after which the other side has to answer a PING, in milliseconds. Callers and callees. */
  readonly pingMs: number
  /** After this a connection takes no new calls, give or take a tenth; 0 for never. In milliseconds. */
  readonly connectionAgeMs: number
  /** How long the calls of such a connection may go on, in milliseconds; 0 for as long as they like. */
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
  bufferedBytes: 268_435_456,
  pingMs: 30_000,
  connectionAgeMs: 3_600_000,
  connectionAgeGraceMs: 3_600_000,
})
