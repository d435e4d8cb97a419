/** What the rest of the gateway asks of policy: of an agent that is named, of one that is not, and of a tenant without policy. */
import assert from 'node:assert/strict'
import {
  chainLimits,
  concurrentStreams,
  DEFAULT_MAX_HOPS,
  delegationOf,
  egressLimits,
  mayOriginate,
  peerLimits,
  tenantLimits,
  tunnelTls,
  whyWithoutPolicy,
} from '../../../mesh-gateway/src/policy/snapshot.ts'
import { policyOf } from './policies.ts'

const peer = (agent: string, tenant = 'acme') => ({ tenant, agent })

describe('a snapshot of policy', () => {
  const policy = policyOf({
    acme: {
      egress: {
        limits: { requestsPerMinute: 100, maxBodyBytes: 0 },
        tenantLimits: { concurrentTunnels: 9 },
        agents: { own: { limits: { requestsPerMinute: 7, burst: 2 } } },
      },
      delegation: {
        limits: { concurrentStreams: 20 },
        tenantLimits: { callsPerMinute: 5 },
        peerLimits: { concurrentTasks: 3 },
        maxHops: 4,
        agents: {
          own: {
            ...{ mode: 'audit', mayOriginate: false, limits: { concurrentStreams: 2 } },
            peerLimits: { concurrentTasks: 1, queueLength: 0, queueMs: 5 },
          },
          plain: {},
        },
      },
    },
    globex: {},
  })

  it('has the limits of a named agent, and those of all others of its tenant', () => {
    const requests = (agent: string, tenant?: string) =>
      egressLimits(policy, peer(agent, tenant))?.limits
    assert.deepEqual([requests('own')?.requestsPerMinute, requests('own')?.burst], [7, 2])
    assert.deepEqual([requests('any')?.requestsPerMinute, requests('any')?.burst], [100, 10])
    assert.deepEqual([requests('own')?.maxBodyBytes, requests('any')?.maxBodyBytes], [0, 0])
    assert.equal(egressLimits(policy, peer('any'))?.tenantLimits?.concurrentTunnels, 9)
    assert.equal(egressLimits(policy, peer('any', 'globex'))?.tenantLimits, null)
    assert.equal(requests('any', 'initech'), undefined)
    assert.equal(egressLimits(policy, peer('any', 'initech')), null)
    assert.equal(concurrentStreams(policy, peer('own')), 2)
    assert.equal(concurrentStreams(policy, peer('plain')), 20)
    assert.equal(concurrentStreams(policy, peer('any')), 20)
    assert.equal(concurrentStreams(policy, peer('any', 'globex')), null)
    assert.equal(concurrentStreams(policy, peer('any', 'initech')), null)
    assert.deepEqual(tenantLimits(policy, 'acme'), { callsPerMinute: 5, concurrentStreams: null })
    assert.equal(tenantLimits(policy, 'globex'), null)
    assert.equal(tenantLimits(policy, 'initech'), null)
  })

  it('has the limits of an agent as a callee, with the queue that is usual', () => {
    const usual = { concurrentTasks: 3, queueLength: 100, queueMs: 30_000 }
    assert.deepEqual(peerLimits(policy, peer('any')), usual)
    assert.deepEqual(peerLimits(policy, peer('plain')), usual)
    assert.deepEqual(peerLimits(policy, peer('own')), {
      ...{ concurrentTasks: 1, queueLength: 0, queueMs: 5 },
    })
    assert.equal(peerLimits(policy, peer('any', 'globex')), null)
    assert.equal(peerLimits(policy, peer('any', 'initech')), null)
  })

  it('says who may begin a chain, and how long it may be', () => {
    assert.equal(mayOriginate(policy, peer('own')), false)
    for (const one of [peer('plain'), peer('any'), peer('any', 'globex'), peer('any', 'initech')])
      assert.equal(mayOriginate(policy, one), true)
    assert.deepEqual(chainLimits(policy, 'acme'), { maxHops: 4, maxDelegationsPerRoot: null })
    assert.deepEqual(chainLimits(policy, 'globex'), { maxHops: null, maxDelegationsPerRoot: null })
    assert.deepEqual(chainLimits(policy, 'initech'), { maxHops: 0, maxDelegationsPerRoot: 0 })
    assert.equal(DEFAULT_MAX_HOPS, 8)
    const acme = policy.tenants.get('acme')
    assert.ok(acme)
    const modes = ['own', 'plain', 'any'].map((agent) => delegationOf(acme, peer(agent)).mode)
    assert.deepEqual(modes, ['audit', 'enforce', 'enforce'])
  })

  it('says why a tenant has no policy', () => {
    const broken = { ...policy, closed: new Set(['initech']) }
    assert.match(whyWithoutPolicy(broken, 'initech'), /^initech\.json .* is broken/)
    assert.match(whyWithoutPolicy(policy, 'initech'), /^there is no initech\.json/)
  })

  it('has the rules for tunnels of _global.json, or the usual ones', () => {
    assert.deepEqual(tunnelTls(policy), {
      ...{ ports: new Set([443]), noServerName: 'by-rule', echOuterNames: new Set() },
      ...{ withoutEch: false, clearText: 'other' },
    })
    const tls = {
      ...{ ports: [8443], noServerName: 'allow', echOuterNames: ['ech.test'] },
      ...{ ech: 'allow', clearText: 'http' },
    }
    assert.deepEqual(tunnelTls(policyOf({ _global: { egress: { tls } } })), {
      ...{ ports: new Set([8443]), noServerName: 'allow', echOuterNames: new Set(['ech.test']) },
      ...{ withoutEch: false, clearText: 'http' },
    })
    const without = policyOf({ _global: { egress: { tls: { ech: 'refuse' } } } })
    assert.equal(tunnelTls(without).withoutEch, true)
  })
})
