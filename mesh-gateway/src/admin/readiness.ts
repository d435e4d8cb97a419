/** The reasons why a gateway is not ready: for GET /ready, the status page and the terminal. */
import type { IdentitySnapshot } from '@clawmesh/agent-sdk/mesh'
import { policyProblems } from '../policy/policy-in-force.ts'
import type { ReloadMetrics } from '../telemetry/reload-metrics.ts'
import type { Missing } from './status-page.ts'

export interface ReadinessOptions {
  readonly identity: { current(): Pick<IdentitySnapshot, 'notBefore' | 'notAfter'> }
  readonly policy: { readiness(): { readonly reason: string | null } }
  readonly revocations: { problem(): string | null }
  readonly audit: { healthy(): boolean }
  /** The file of the audit log. */
  readonly auditFile: string
  readonly draining: () => boolean
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

export interface Readiness {
  /** The reasons why it is not ready; empty when it is. */
  missing(): readonly Missing[]
  /** Faults that do not stop the gateway: a file that could not be reloaded. */
  degraded(): readonly Missing[]
  /** The gateway shuts down: it is not ready from now on. */
  drain(): void
}

export interface GatewayReadinessOptions extends Omit<ReadinessOptions, 'draining'> {
  readonly policy: ReadinessOptions['policy'] & {
    problems(): Parameters<typeof policyProblems>[0]
  }
  readonly metrics: Pick<ReloadMetrics, 'failedReloads'>
  /** Its problem: no token can be signed, while those that were signed verify. */
  readonly keyRing: { problem(): string | null }
}

export function createReadiness(options: GatewayReadinessOptions): Readiness {
  const { policy, metrics, keyRing } = options
  let draining = false
  return {
    missing: () => whatIsMissing({ ...options, draining: () => draining }),
    degraded: () => {
      const reason = keyRing.problem()
      const faults = whatIsDegraded(policyProblems(policy.problems()), metrics)
      return reason === null ? faults : [...faults, { what: 'signing', reason }]
    },
    drain() {
      draining = true
    },
  }
}

/** Each file once: policy reports its faults file by file. */
function whatIsDegraded(
  policy: readonly Missing[],
  metrics: Pick<ReloadMetrics, 'failedReloads'>,
): readonly Missing[] {
  return [...policy, ...metrics.failedReloads().filter(({ what }) => what !== 'policy')]
}

/** Empty when it is ready. */
export function whatIsMissing(options: ReadinessOptions): readonly Missing[] {
  const { now = Date.now } = options
  const reasons: readonly (readonly [string, string | null])[] = [
    ['identity', untimely(options.identity.current(), now())],
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

function untimely(
  { notBefore, notAfter }: Pick<IdentitySnapshot, 'notBefore' | 'notAfter'>,
  nowMs: number,
): string | null {
  if (nowMs >= notAfter.getTime()) return `the certificate expired ${notAfter.toISOString()}`
  // it was valid when it was read: the clock was set back since
  if (nowMs < notBefore.getTime())
    return `the clock was set back: it says ${new Date(nowMs).toISOString()}, and the certificate is good from ${notBefore.toISOString()}; set the clock right`
  return null
}
