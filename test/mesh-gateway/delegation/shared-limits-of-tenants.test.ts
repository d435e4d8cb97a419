/** Limits that are counted elsewhere answer later: the tenant's count then as they do where they are counted here. */
import assert from 'node:assert/strict'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import { admit } from '../../../mesh-gateway/src/delegation/admit.ts'
import { createPermits } from '../../../mesh-gateway/src/delegation/permits.ts'
import { createLimits } from '../../../mesh-gateway/src/limits/create-limits.ts'
import type { Limits } from '../../../mesh-gateway/src/limits/limits.ts'
import { decideDelegation } from '../../../mesh-gateway/src/policy/index.ts'
import { policyOf } from '../policy/policies.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })

/** As Redis or a supervisor would answer: never at once. */
function later(local: Limits): Limits {
  return {
    take: async (...asked) => await local.take(...asked),
    enter: async (...asked) => await local.enter(...asked),
  }
}

describe('limits of a tenant', () => {
  for (const [how, shared] of [
    ['counted here', false],
    ['shared between gateways', true],
  ] as const)
    for (const own of [{}, { callsPerMinute: 1000, concurrentStreams: 1000 }])
      it(`${how} hold for all its agents together, ${'callsPerMinute' in own ? 'beside limits of their own' : 'also where they have none of their own'}`, async () => {
        const local = createLimits(() => 0)
        const limits = shared ? later(local) : local
        const outcomes = async (tenantLimits: object) => {
          const allow = [{ from: '*', to: '*' }]
          const policy = policyOf({ acme: { delegation: { allow, limits: own, tenantLimits } } })
          const said: string[] = []
          const stays = []
          for (const name of ['a', 'b', 'c']) {
            const caller = spiffe.agent('acme', name)
            const question = { caller, callee: { tenant: 'acme', agent: 'x' } }
            const asked = { ...question, method: 'pkg.Svc/M', withinChain: false }
            const permits = createPermits()
            stays.push(permits)
            try {
              await admit(caller, decideDelegation(asked, policy), policy, limits, permits)
              said.push('in')
            } catch (error) {
              said.push(
                error instanceof MeshError ? `${error.code} ${error.message}` : String(error),
              )
            }
          }
          for (const permits of stays) permits.end()
          return said
        }
        assert.deepEqual(await outcomes({ concurrentStreams: 2 }), [
          ...['in', 'in'],
          'MESH_LIMIT_CONCURRENCY 2 calls at once are allowed to its tenant',
        ])
        // what was in has left
        assert.deepEqual((await outcomes({ concurrentStreams: 2 })).slice(0, 2), ['in', 'in'])
        assert.deepEqual(await outcomes({ callsPerMinute: 20 }), [
          ...['in', 'in'],
          'MESH_RATE_LIMITED 20 calls per minute are allowed to its tenant',
        ])
      })
})
