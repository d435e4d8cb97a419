/** What keeps a gateway from being ready: for GET /ready, the status page and the terminal. */
import type { IdentitySnapshot } from '@clawmesh/agent-sdk'
import type { Missing } from './admin/admin-port.ts'
import type { ReloadMetrics } from './telemetry/reload-metrics.ts'

export interface ReadinessOptions {
  readonly identity: { current(): Pick<IdentitySnapshot, 'notAfter'> }
  readonly policy: { readiness(): { readonly reason: string | null } }
  readonly revocations: { problem(): string | null }
  readonly audit: { healthy(): boolean }
  /** Of the audit log. */
  readonly auditFile: string
  readonly draining: () => boolean
}

/** Files that could not be taken over, each once: policy says file by file what is wrong with it. */
export function whatIsDegraded(
  policy: readonly Missing[],
  metrics: Pick<ReloadMetrics, 'failedReloads'>,
): readonly Missing[] {
  return [...policy, ...metrics.failedReloads().filter(({ what }) => what !== 'policy')]
}

/** Empty when nothing does. */
export function whatIsMissing(options: ReadinessOptions): readonly Missing[] {
  const { notAfter } = options.identity.current()
  const reasons: readonly (readonly [string, string | null])[] = [
    [
      'identity',
      notAfter.getTime() > Date.now() ? null : `the certificate expired ${notAfter.toISOString()}`,
    ],
    ['policy', options.policy.readiness().reason],
    ['revocation', options.revocations.problem()],
    [
      'audit',
      options.audit.healthy() ? null : `the audit log ${options.auditFile} cannot be written`,
    ],
    ['draining', options.draining() ? 'the gateway is shutting down' : null],
  ]
  return reasons.flatMap(([what, reason]) => (reason === null ? [] : [{ what, reason }]))
}
