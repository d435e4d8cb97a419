/** What `createAgent` takes. */
import type { SpiffeTemplateOptions } from '@clawmesh/proto'
import { checkOptions, optionNames } from '../check-options.ts'
import type { Patience } from '../client/peer-client.ts'
import type { Log } from '../log.ts'
import type { IdentityStore } from '../tls/identity-snapshot.ts'
import { checkTraceExport, type TraceExport } from './open-spans.ts'

/** Options of `createAgent`. `gateway` and `identity` are required. */
export interface AgentOptions {
  /** host:port of the gateway's delegation port, e.g. 127.0.0.1:8443. Who it is decides its certificate, not the address. */
  readonly gateway: string
  /** The directory with tls.crt, tls.key and ca.crt, watched for renewal; or a store, which stays the caller's to close. */
  readonly identity: string | IdentityStore
  /** Default: that of the certificate. */
  readonly trustDomain?: string
  /** What the names of peers end in. Default: that of the certificate's own peer name, else the trust domain. */
  readonly meshDomain?: string
  /** Path templates of SPIFFE IDs, where they are not the mesh's own. */
  readonly spiffe?: Omit<SpiffeTemplateOptions, 'trustDomain'>
  /**
   * URL of the gateway's egress port, e.g. http://127.0.0.1:8080, and https:// where that is not on this machine.
   * Without it `fetch` is refused: it never goes direct.
   */
  readonly egress?: string
  /** PEM of CAs that the certificate of an https:// egress port may chain to, besides the roots of the mesh. */
  readonly egressPortCa?: string
  /** Egress tokens are good with this agent's certificate only (RFC 8705). Default: true for an https:// egress port. */
  readonly bindEgressTokens?: boolean
  /** Life of egress tokens, in milliseconds; they are renewed before. Default: what the gateway gives, 15 minutes unless configured. */
  readonly egressTokenTtlMs?: number
  /** Tokens may go in the clear to an http:// egress port on another machine. Default false. */
  readonly allowPlaintextEgress?: boolean
  /** PEM of the CAs that https destinations must chain to, in place of the public ones. */
  readonly egressCa?: string
  /**
   * True: `createAgent` does not fail for an identity that is not there yet or cannot be used, and the agent connects by itself and
   * stays connected, which `agent.state` shows. Both are tried again for as long as it takes; calls made meanwhile wait for
   * `patience.connectGiveUpMs`, then fail with the reason. Default false: it connects with the first call.
   */
  readonly lazy?: boolean
  /** The gateway's own name, for its own services. Default `gateway.<mesh domain>`. */
  readonly gatewayName?: string
  /** What one result, its artifacts included, may take in memory. Default 64 MiB. */
  readonly maxResultBytes?: number
  /** How patient it is with broken connections. */
  readonly patience?: Patience
  /** Exports spans of what it delegates, fetches and runs, to a collector of OpenTelemetry. Default: none are exported. */
  readonly traces?: TraceExport
  /** A pino logger fits. Default: `stderrLog`, warnings and errors as text on stderr; `silentLog` says nothing. */
  readonly log?: Log
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

const NAMES = optionNames<AgentOptions>({
  gateway: true,
  identity: true,
  trustDomain: true,
  meshDomain: true,
  spiffe: true,
  egress: true,
  egressPortCa: true,
  bindEgressTokens: true,
  egressTokenTtlMs: true,
  allowPlaintextEgress: true,
  egressCa: true,
  lazy: true,
  gatewayName: true,
  maxResultBytes: true,
  patience: true,
  traces: true,
  log: true,
  now: true,
})
const PATIENCE = optionNames<Patience>({
  idleMs: true,
  giveUpMs: true,
  startGiveUpMs: true,
  connectGiveUpMs: true,
})

/** @throws TypeError for an option that there is not, and for a gateway that is no address */
export function checkAgentOptions(options: AgentOptions): void {
  checkOptions(options, NAMES, 'createAgent')
  const { gateway, patience, identity } = options
  if (patience !== undefined) checkOptions(patience, PATIENCE, 'createAgent', 'patience')
  const { egressTokenTtlMs: ttlMs, traces } = options
  if (traces !== undefined) checkTraceExport(traces)
  if (ttlMs !== undefined && !(Number.isInteger(ttlMs) && ttlMs >= 1_000))
    throw new TypeError('egressTokenTtlMs: must be 1,000 milliseconds or more')
  if (!/^(?:\[[0-9a-fA-F:]+\]|[^\s:/[\]]+):\d{1,5}$/.test(gateway))
    throw new TypeError('gateway: must be host:port, e.g. 127.0.0.1:8443')
  if (typeof identity !== 'string' && typeof identity?.current !== 'function')
    throw new TypeError('identity: must be a directory, or a store of openIdentity')
}
