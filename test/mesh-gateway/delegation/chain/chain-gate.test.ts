import assert from 'node:assert/strict'
import type { DelegationClaims } from '@clawmesh/proto'
import { createChainGate } from '../../../../mesh-gateway/src/delegation/chain/chain-gate.ts'
import { createMemoryBudgets } from '../../../../mesh-gateway/src/limits/budgets.ts'

const id = (agent: string) => `spiffe://mesh.internal/tenant/acme/agent/${agent}`

describe('the budget of a tree of delegations', () => {
  const budgets = createMemoryBudgets({ keepMs: () => 60_000 })
  const spent: string[] = []
  const gate = createChainGate({
    tokens: {
      sign: async (link) => ({ token: 't', claims: { iss: 'gateway', ...link, jti: 'j' } }),
      tree: () => assert.fail('not asked'),
      verify: () => assert.fail('nothing is presented'),
      close() {},
    },
    budgets: {
      spend(txn, max, tenant) {
        spent.push(txn)
        return budgets.spend(txn, max, tenant)
      },
    },
    ttlMs: () => 60_000,
  })
  const extend = async (to: string, parent: DelegationClaims | null, most: number | null) => {
    const limits = { maxHops: null, maxDelegationsPerRoot: most }
    const narrow = { destinations: null, scope: null, deadlineMs: null }
    const caller = parent === null ? id('a') : parent.aud
    const asked = {
      caller,
      callee: id(to),
      parent,
      limits,
      rootLimits: limits,
      narrow,
      rootTenant: 'acme',
    }
    return (await gate.extend(asked)).claims
  }

  it('remembers nothing of trees that nobody extends, however many', async () => {
    for (let i = 0; i < 100; i += 1) await extend('b', null, 3)
    assert.deepEqual(spent, [])
  })

  it('counts the root as one, and all that is below it', async () => {
    const root = await extend('b', null, 3)
    await extend('c', root, 3)
    await extend('d', root, 3)
    await assert.rejects(extend('e', root, 3), { code: 'MESH_CHAIN_BUDGET_EXCEEDED' })
    await assert.rejects(extend('b', null, 0), { code: 'MESH_CHAIN_BUDGET_EXCEEDED' })
  })
})
