import assert from 'node:assert/strict'
import { type DelegationClaims, isUuidV7 } from '@clawmesh/proto'
import {
  type ChainGateOptions,
  type ChainQuestion,
  createChainGate,
} from '../../../../mesh-gateway/src/delegation/chain/chain-gate.ts'
import type { PresentedClaims } from '../../../../mesh-gateway/src/delegation/chain/chain-tokens.ts'
import type { ChainLink } from '../../../../mesh-gateway/src/delegation/chain/extend-chain.ts'
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

describe('a chain that is presented', () => {
  const claims: PresentedClaims = {
    ...{ iss: 'gateway', sub: id('a'), aud: id('b'), act: { sub: id('a') }, txn: 'the tree' },
    ...{ hop: 1, max_hops: 5, iat: 0, exp: 1, jti: 'j', kid: 'k' },
    chain: {
      ...{ txn: 'the tree', actors: [id('a')] },
      certificates: [{ identity: { id: id('a') }, links: [], rootFingerprint: null }],
    },
  }
  const gone = { code: 'MESH_CHAIN_REVOKED', what: 'txn', message: 'revoked' } as const
  const gateOf = (
    fault: 'tree' | 'certificate' | 'none is known' | null,
    verify: ChainGateOptions['tokens']['verify'] = () => claims,
    more: Partial<ChainGateOptions> = {},
  ) => {
    const revocations: NonNullable<ChainGateOptions['revocations']> = {
      chain: (txn, actors) =>
        fault === 'tree' && txn === 'the tree' && actors.includes(id('a')) ? gone : null,
      certificate: ({ identity }) =>
        fault === 'certificate' && identity.id === id('a') ? gone : null,
    }
    return createChainGate({
      tokens: {
        sign: () => assert.fail('not asked'),
        tree: () => assert.fail('not asked'),
        verify,
        close() {},
      },
      budgets: { spend: () => assert.fail('not asked') },
      ...(fault === 'none is known' ? {} : { revocations }),
      ttlMs: () => 60_000,
      ...more,
    })
  }
  const facts = { txn: 'the tree' }

  it('begins no new call once its tree, or a certificate in it, was revoked; whether its token is remembered or not', async () => {
    for (const verify of [() => claims, async () => claims]) {
      assert.equal(await gateOf(null, verify).present('t', id('b')), claims)
      for (const fault of ['tree', 'certificate'] as const)
        await assert.rejects(async () => gateOf(fault, verify).present('t', id('b')), {
          ...{ code: 'MESH_CHAIN_REVOKED', facts },
        })
    }
    assert.equal(gateOf('none is known').present('t', id('b')), claims)
  })

  it('is the presenter’s own, and judged at the time of the call', () => {
    const asked: string[][] = []
    const verify = (...args: string[]) => {
      asked.push(args)
      return claims
    }
    gateOf(null, verify).present('token', id('b'))
    assert.deepEqual(asked, [['token', id('b')]])
    // its certificate leads to no root of the bundle
    const identity = { current: () => ({ roots: [], certificateChain: '' }) }
    assert.throws(() => gateOf(null, undefined, { identity }).present('t', id('b')), {
      code: 'MESH_CHAIN_REVOKED',
    })
  })

  it('is judged before a turn is waited for, without a token and without a budget', () => {
    const question = {
      ...{ caller: id('b'), callee: id('c'), parent: claims, rootTenant: 'acme' },
      limits: { maxHops: null, maxDelegationsPerRoot: null },
      rootLimits: { maxHops: null, maxDelegationsPerRoot: 0 },
      narrow: { destinations: null, scope: null, deadlineMs: null },
    }
    const gate = gateOf(null)
    gate.judge(question)
    assert.throws(() => gate.judge({ ...question, callee: id('a') }), {
      code: 'MESH_CHAIN_LOOP_DETECTED',
    })
  })
})

describe('a link of a chain', () => {
  const limits = { maxHops: null, maxDelegationsPerRoot: null }
  const narrow = { destinations: null, scope: null, deadlineMs: null }
  const make = (spend: ChainGateOptions['budgets']['spend']) => {
    const signed: ChainLink[] = []
    const gate = createChainGate({
      tokens: {
        async sign(link) {
          signed.push(link)
          return { token: 't', claims: { iss: 'gateway', ...link, jti: 'j' } }
        },
        tree: () => assert.fail('not asked'),
        verify: () => assert.fail('nothing is presented'),
        close() {},
      },
      ...{ budgets: { spend }, ttlMs: () => 60_000, now: () => 1_000_000 },
    })
    const extend = (more: Partial<ChainQuestion> = {}) =>
      gate.extend({
        ...{ caller: id('a'), callee: id('b'), parent: null, limits, rootLimits: limits },
        ...{ rootTenant: 'acme', narrow, ...more },
      })
    return { signed, extend }
  }

  it('is dated by the clock, and names the certificate that it was made with, where there is one', async () => {
    const { signed, extend } = make(() => assert.fail('a root costs nothing'))
    await extend()
    await extend({ links: [{ fingerprint: 'ab'.repeat(32), serial: '01', issuerKey: 'key' }] })
    const [bare, named] = signed
    assert.deepEqual([bare?.iat, bare?.exp, bare?.act], [1_000, 1_060, { sub: id('a') }])
    assert.ok(bare !== undefined && isUuidV7(bare.txn))
    assert.notEqual(bare.txn, named?.txn)
    assert.ok(named?.act.crt !== undefined)
  })

  it('below a root counts in the budget of the tenant that the tree began in: a thousand where none is set', async () => {
    const asked: unknown[] = []
    let within = true
    const { extend } = make((...args) => {
      asked.push(args)
      return Promise.resolve(within)
    })
    const { claims } = await extend()
    const below = { caller: id('b'), callee: id('c'), parent: claims, rootTenant: 'globex' }
    await extend(below)
    await extend({ ...below, rootLimits: { ...limits, maxDelegationsPerRoot: 7 } })
    assert.deepEqual(asked, [
      [claims.txn, 999, 'globex'],
      [claims.txn, 6, 'globex'],
    ])
    within = false
    await assert.rejects(extend(below), {
      code: 'MESH_CHAIN_BUDGET_EXCEEDED',
      message: `the tree of ${id('a')} may have 1000 delegations`,
      facts: { txn: claims.txn },
    })
    await assert.rejects(extend({ ...below, rootLimits: { ...limits } }), {
      message: `the tree of ${id('a')} has as many delegations as it may`,
    })
  })
})
