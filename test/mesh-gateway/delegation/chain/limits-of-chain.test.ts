import assert from 'node:assert/strict'
import { createSpiffeTemplate, type DelegationClaims } from '@clawmesh/proto'
import { createChainGate } from '../../../../mesh-gateway/src/delegation/chain/chain-gate.ts'
import { limitsOfChain } from '../../../../mesh-gateway/src/delegation/chain/limits-of-chain.ts'
import { createMemoryBudgets } from '../../../../mesh-gateway/src/limits/budgets.ts'
import { policyOf } from '../../policy/policies.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const POLICY = policyOf({
  acme: { delegation: { maxHops: 5, maxDelegationsPerRoot: 3 } },
  globex: { delegation: { maxHops: 2, maxDelegationsPerRoot: 100 } },
})

describe('the bounds of a tree that goes across tenants', () => {
  const spent: string[] = []
  const budgets = createMemoryBudgets({ keepMs: () => 60_000 })
  const gate = createChainGate({
    tokens: {
      sign: async (link) => ({ token: 't', claims: { iss: 'gateway', ...link, jti: 'j' } }),
      tree: () => assert.fail('not asked'),
      verify: () => assert.fail('nothing is presented'),
      close() {},
    },
    budgets: {
      spend(txn, max, tenant) {
        spent.push(tenant)
        return budgets.spend(txn, max, tenant)
      },
    },
    ttlMs: () => 60_000,
  })
  const extend = async (
    from: readonly [tenant: string, agent: string],
    to: readonly [tenant: string, agent: string],
    parent: DelegationClaims | null,
  ) => {
    const caller = spiffe.agent(...from)
    const { claims } = await gate.extend({
      ...{ caller: caller.id, callee: spiffe.agent(...to).id, parent },
      ...limitsOfChain(POLICY, caller, parent, spiffe),
      narrow: { destinations: null, scope: null, deadlineMs: null },
    })
    return claims
  }

  it('are, for its size, those of the tenant that it began in, whoever extends it; for each hop those of the caller', async () => {
    const root = await extend(['acme', 'planner'], ['globex', 'writer'], null)
    assert.equal(root.max_hops, 5)
    const second = await extend(['globex', 'writer'], ['globex', 'printer'], root)
    // the tenant on the way narrows the hops
    assert.equal(second.max_hops, 2)
    await extend(['globex', 'writer'], ['globex', 'checker'], root)
    const beyond = extend(['globex', 'writer'], ['globex', 'other'], root)
    await assert.rejects(beyond, (error: Error & { code?: string }) => {
      assert.equal(error.code, 'MESH_CHAIN_BUDGET_EXCEEDED')
      // how many acme gives its trees is not for globex to know
      assert.doesNotMatch(error.message, /\d/)
      return true
    })
    assert.deepEqual(new Set(spent), new Set(['acme']))
    // and one that globex begins has its own
    const own = await extend(['globex', 'writer'], ['globex', 'printer'], null)
    for (const to of ['a', 'b', 'c', 'd']) await extend(['globex', 'printer'], ['globex', to], own)
  })
})
