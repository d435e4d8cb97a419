/**
 * Limits the calls that are open at once in this process: in all, per tenant and per agent. Each call holds memory
 * while it lasts. Policy may give an agent more than the default, but never more than the bounds of the tenant and of
 * the process.
 */
import { type Identity, MeshError, type Peer } from '@clawmesh/proto'
import type { GuardLimits } from '../../config/guard-limits.ts'
import type { Release } from '../../limits/limits.ts'
import type { Serving } from '../../process/watch-memory.ts'

export interface OpenCallsOptions {
  readonly limits: Pick<GuardLimits, 'maxCalls' | 'maxCallsPerTenant' | 'maxCallsPerAgent'>
  /** `concurrentStreams` of an agent; null without one in policy. */
  policyLimit(agent: Peer): number | null
  /** Counts all that the port serves, these calls among it. */
  readonly serving: Serving
}

export interface OpenCalls {
  /** Returns the release, to be called once when the call ends. @throws MeshError MESH_LIMIT_CONCURRENCY */
  enter(caller: Identity): Release
}

interface Count {
  open: number
}

const SWEEP_AT = 10_000

export function createOpenCalls({ limits, policyLimit, serving }: OpenCallsOptions): OpenCalls {
  const { maxCalls, maxCallsPerTenant, maxCallsPerAgent } = limits
  // zero counts stay: a map that gains and loses an entry with each call costs more than the call
  const tenants = new Map<string, Count>()
  const agents = new Map<string, Count>()
  let open = 0

  return {
    enter(caller) {
      const tenant = caller.kind === 'agent' ? caller.tenant : ''
      const ofAgent = countOf(agents, caller.id)
      const ofTenant = countOf(tenants, tenant)
      if (ofAgent.open >= maxCallsPerAgent) {
        const own = caller.kind === 'agent' ? policyLimit(caller) : null
        const most = Math.max(maxCallsPerAgent, own ?? 0)
        if (ofAgent.open >= most) throw full(`${most} calls at once are allowed to this agent`)
      }
      if (ofTenant.open >= maxCallsPerTenant)
        throw full(`${maxCallsPerTenant} calls at once are allowed to its tenant`)
      if (open >= maxCalls) throw full('the gateway has as many open calls as it may')
      open += 1
      serving.count += 1
      ofTenant.open += 1
      ofAgent.open += 1
      return () => {
        open -= 1
        serving.count -= 1
        ofTenant.open -= 1
        ofAgent.open -= 1
      }
    },
  }
}

function countOf(counts: Map<string, Count>, key: string): Count {
  const known = counts.get(key)
  if (known !== undefined) return known
  if (counts.size >= SWEEP_AT)
    for (const [other, { open }] of counts) if (open === 0) counts.delete(other)
  const fresh = { open: 0 }
  counts.set(key, fresh)
  return fresh
}

function full(message: string): MeshError {
  return new MeshError('MESH_LIMIT_CONCURRENCY', message, { retryAfterMs: 1_000 })
}
