/**
 * Composes one gateway: opens its parts in order, and closes them in the opposite order, also when the start fails
 * half-way (composition root). Each part gets its dependencies by its options; nothing here decides about traffic.
 */
import { createDisk, type Log } from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate, type Identity } from '@clawmesh/proto'
import type { Facts } from './admin/api/facts.ts'
import { createGatewayFacts, ofOneProcess } from './admin/api/gateway-facts.ts'
import { describeGateway } from './admin/describe-gateway.ts'
import { openOperatorPorts } from './admin/open-operator-ports.ts'
import { createReadiness } from './admin/readiness.ts'
import type { Missing, StatusRow } from './admin/status-page.ts'
import { foldRepeats } from './audit/fold-repeats.ts'
import { openAuditLog } from './audit/open-audit-log.ts'
import { createRecentLines } from './audit/recent-lines.ts'
import { createRequestSpans } from './audit/request-spans.ts'
import { fixedConfig, type LiveConfig } from './config/live-config.ts'
import { openOwnIdentity } from './config/open-own-identity.ts'
import type { Config } from './config/schema.ts'
import { createChainGate } from './delegation/chain/chain-gate.ts'
import { createChainTokens } from './delegation/chain/chain-tokens.ts'
import { createDelegationPort } from './delegation/port.ts'
import { createReplicaMarks } from './delegation/upstream/replica.ts'
import { openPortCertificate } from './egress/client/port-certificate.ts'
import { createEgressPort } from './egress/port.ts'
import { openUpstreamTrust } from './egress/upstream/upstream-trust.ts'
import { openLimits } from './limits/open-limits.ts'
import { createRefusalBudgets } from './limits/refusal-budget.ts'
import { createOwnAddresses, type PortAddresses } from './net/own-addresses.ts'
import { openPolicyStore } from './policy/policy-store.ts'
import { diskThreads } from './process/thread-pool.ts'
import { watchClock } from './process/watch-clock.ts'
import { watchMemory } from './process/watch-memory.ts'
import { createResolver } from './resolve/create-resolver.ts'
import { withPorts } from './resolve/server-addresses.ts'
import { openRevocations } from './revocation/revocations.ts'
import type { WorkerShare } from './shared-by-workers.ts'
import { createMetrics, type MetricsHandle } from './telemetry/create-metrics.ts'
import { reportIdentity } from './telemetry/report-identity.ts'
import { openKeyRing } from './tokens/key-ring.ts'
import { openTokenVerifier } from './tokens/open-token-verifier.ts'
import { createTokenRevoker } from './tokens/revoke-token.ts'
import { openServiceAccounts } from './tokens/service-accounts.ts'
import { createTokenService } from './tokens/token-service.ts'

export interface GatewayOptions {
  readonly log: Log
  /** Follows the configuration while the gateway runs. Default: the configuration never changes. */
  readonly follow?: (metrics: MetricsHandle) => Promise<LiveConfig>
  /** Shared parts, for one of several worker processes. Default: a single process. */
  readonly together?: WorkerShare
}

export interface Gateway {
  readonly identity: Identity
  readonly certificateNotAfter: Date
  readonly addresses: PortAddresses
  /** The reasons why it is not ready; empty when it is. */
  missing(): readonly Missing[]
  /** Faults that do not stop the gateway: a file that could not be reloaded. */
  degraded(): readonly Missing[]
  /** The rows of the status page. */
  status(): readonly StatusRow[]
  /** Its answers to questions of the admin port. */
  readonly facts: Facts
  /** Its own names, accepted in the Host header of the admin port. */
  names(): readonly string[]
  readonly metrics: Pick<MetricsHandle, 'registry'>
  /** Reads all files anew, policy and the own certificate among them, and reopens the audit log. Resolves once it is so. */
  reload(): Promise<void>
  /** Graceful shutdown: refuses new work, lets open work end within drainMs (or as configured), then closes. */
  drain(graceMs?: number): Promise<void>
  /** Ends everything at once. */
  close(): Promise<void>
  /** Writes buffered audit records synchronously, at the end of a crashing process. */
  flushAuditSync(): void
}

/** @throws MeshError that says what is missing; nothing is then left open */
export async function createGateway(config: Config, options: GatewayOptions): Promise<Gateway> {
  const { log, together = null } = options
  await using opening = new AsyncDisposableStack()
  const opened = <T>(value: T, close: (value: T) => void | Promise<void>): T =>
    opening.adopt(value, close)
  const closing = (one: { close(): void | Promise<void> }) => one.close()

  const metrics = opened(createMetrics(), closing)
  opened(watchClock({ log }), closing)
  const memory = opened(watchMemory({ log, metrics }), closing)
  const disk = createDisk({ width: diskThreads(process.env) })
  const watching = { log, disk, pollMs: config.reload.pollMs }
  const following = { ...watching, metrics }
  const spiffe = createSpiffeTemplate({ trustDomain: config.trustDomain, ...config.spiffe })
  const identity = opened(await openOwnIdentity(config, { spiffe, ...watching }), closing)
  const policy = opened(await openPolicyStore({ ...config.policy, ...following }), closing)
  const revocations = opened(
    await openRevocations({ ...config.revocation, identity, ...following }),
    closing,
  )
  const link = together?.token ?? null
  const keyRing = opened(await openKeyRing({ ...config.keys, link, ...following }), closing)
  const accountsFile = config.serviceAccounts.file
  const accounts =
    accountsFile === null
      ? null
      : opened(await openServiceAccounts({ file: accountsFile, ...following }), closing)
  const shared = together !== null
  const { file: auditFile, openAfterMs } = config.audit
  const passedOn = () => together?.passedOn() ?? true
  const recent = createRecentLines()
  const auditing = { file: auditFile, openAfterMs, metrics, log, shared, passedOn, recent }
  const folding = { audit: openAuditLog(auditing), onFolded: metrics.auditFolded }
  const audit = opened(foldRepeats(folding), closing)
  const spans = createRequestSpans(config.traces, { identity, metrics, log })
  opened(spans, (one) => one?.close())
  const live = opened((await options.follow?.(metrics)) ?? fixedConfig(config), closing)
  const resolver = opened(
    createResolver({
      timeoutMs: config.timeouts.dnsMs,
      maxQueries: config.dns.maxQueries,
      ...(config.dns.servers === null ? {} : { servers: withPorts(config.dns.servers) }),
    }),
    closing,
  )
  const counting = together?.counting ?? null
  const delegationTtlMs = () => live.current().tokens.delegationTtlMs
  const limiting = opened(
    await openLimits(config.limits, { counting, delegationTtlMs, metrics, log }),
    closing,
  )
  const { limits, budgets } = limiting
  const { issuer } = config.tokens
  const upstreamTrust = opened(
    await openUpstreamTrust({ file: config.egress.ca, ...following }),
    closing,
  )
  const verifier = opened(
    await openTokenVerifier({
      ...{ keyRing, issuer, spiffe, policy, resolver, metrics, log },
      issuers: config.tokens.issuers,
      trust: () => upstreamTrust.context(),
      maxTtlMs: () => live.current().tokens.maxTtlMs,
      onVerified: (seconds) => metrics.tokenValidation(seconds),
    }),
    closing,
  )
  const tokens = createTokenService({
    ...{ keyRing, issuer, spiffe, policy, accounts, limits },
    revoked: (id) => revocations.agent(id) !== null,
    ttl: () => live.current().tokens,
  })

  reportIdentity(identity, metrics)
  const judged = { identity, policy, revocations, keyRing, audit, auditFile, metrics }
  const readiness = createReadiness(judged)
  const { missing, degraded } = readiness
  const own = createOwnAddresses({
    delegation: config.delegation.listen,
    admin: together?.admin ?? config.admin.listen,
    ...(config.health.listen === null ? {} : { health: config.health.listen }),
  })
  const refusals = createRefusalBudgets(config.limits)
  const judging = { keys: verifier.keys, policy, revocations, limits, refusals }
  const given = { ...judging, audit, spans, metrics, log, resolver, memory }
  const names = () => [
    ...live.current().delegation.names,
    ...identity.current().dnsNames.filter((name) => !name.startsWith('*')),
  ]
  const chainTokens = opened(
    createChainTokens({ ...{ keyRing, issuer, spiffe }, maxTtlMs: delegationTtlMs }),
    closing,
  )
  const chain = createChainGate({
    tokens: chainTokens,
    ...{ budgets, revocations, identity },
    ttlMs: delegationTtlMs,
  })
  const delegation = opened(
    await createDelegationPort({
      ...{ ...given, chain },
      ...{ listen: config.delegation.listen, proxiesFrom: config.delegation.proxyProtocol.from },
      ...{ identity, spiffe, meshDomain: config.meshDomain },
      names: () => live.current().delegation.names,
      issueEgressToken: tokens.issueEgressToken,
      dialTimeoutMs: config.timeouts.dialMs,
      peerPorts: config.delegation.peerPorts,
      staticPeers: () => live.current().delegation.peers,
      marks: createReplicaMarks({
        keys: () => keyRing.derive('replica marks'),
        generation: () => keyRing.generation(),
      }),
      ownAddresses: own.all,
      guard: config.delegation.limits,
      refuseWithoutAudit: config.delegation.withoutAudit === 'refuse',
      mcp:
        config.delegation.mcp === 'off'
          ? null
          : { sessionKeys: () => keyRing.derive('mcp'), cancels: together?.cancels ?? null },
    }),
    closing,
  )
  own.opened('delegation', delegation.address)
  const { list } = config.revocation
  const { dir: tlsDir } = config.egress.tls
  const { headerMs, dialMs, idleTunnelMs: idleMs, answerMs } = config.timeouts
  const certificate =
    tlsDir === null
      ? null
      : opened(await openPortCertificate({ dir: tlsDir, ...following }), closing)
  const egress = opened(
    await createEgressPort({
      ...given,
      ...{ listen: config.egress.listen, proxiesFrom: config.egress.proxyProtocol.from },
      ...config.egress.limits,
      issuer,
      verifyToken: (token) => verifier.verify(token),
      ...{ identity, remembersToken: verifier.remembers },
      spiffe,
      jwks: () => keyRing.jwks(),
      issueForAccountKey:
        accounts === null ? null : (key, request) => tokens.issueForAccountKey(key, request),
      revokeToken:
        list === null
          ? null
          : createTokenRevoker({ verify: verifier.verify, accounts, limits, revocations }),
      ownAddresses: own.all,
      certificate,
      ticketKeys: together?.ticketKeys ?? null,
      refuseWithoutAudit: config.egress.withoutAudit === 'refuse',
      trust: () => upstreamTrust.context(),
      isReady: () => missing().length === 0,
      ownNames: ['localhost', ...names()],
      timeouts: { headerMs, dialMs, idleMs, answerMs },
    }),
    closing,
  )
  const addresses = {
    egress: egress.address,
    delegation: delegation.address,
    admin: together?.admin ?? config.admin.listen,
    health: config.health.listen,
  }
  const told = { addresses, identity, keyRing, config: live.current }
  const status = () => describeGateway({ ...told, accounts, policy: policy.current() })
  const facts = createGatewayFacts({
    ...{ ...told, delegation, egress, policy, certificate, audit, recent, metrics },
    limits: limiting,
  })
  if (together === null) {
    const { connectionRefused } = metrics
    const view = { names, metrics, missing, degraded, status, connectionRefused, log }
    const shown = { ...view, ...ofOneProcess(facts, live.current) }
    const { admin, health } = opened(await openOperatorPorts(config, shown), closing)
    Object.assign(addresses, { admin, health })
    own.opened('admin', admin)
    if (health !== null) own.opened('health', health)
  }

  const resources = opening.move()
  let ended: Promise<void> | null = null
  const close = () => {
    readiness.drain()
    ended ??= resources.disposeAsync()
    return ended
  }
  return {
    identity: identity.current().identity,
    certificateNotAfter: identity.current().notAfter,
    addresses,
    missing,
    degraded,
    status,
    facts,
    names,
    metrics,
    async reload() {
      await Promise.all([
        identity.reload(),
        policy.reload(),
        keyRing.reload(),
        revocations.reload(),
        accounts?.reload(),
        upstreamTrust.reload(),
        verifier.reload(),
        certificate?.reload(),
        live.reload(),
        // logrotate sends the same signal
        audit.reopen(),
      ])
    },
    async drain(graceMs = live.current().drainMs) {
      readiness.drain()
      await Promise.all([egress.drain(graceMs), delegation.drain(graceMs)])
      await close()
    },
    close,
    flushAuditSync: () => audit.flushSync(),
  }
}
