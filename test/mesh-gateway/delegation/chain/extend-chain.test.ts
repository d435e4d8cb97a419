import assert from 'node:assert/strict'
import { actorsOf, type DelegationClaims, MeshError } from '@clawmesh/proto'
import fc from 'fast-check'
import {
  type ChainStep,
  extendChain,
} from '../../../../mesh-gateway/src/delegation/chain/extend-chain.ts'

const id = (agent: string) => `spiffe://mesh.internal/tenant/acme/agent/${agent}`

function step(from: string, to: string, more: Partial<ChainStep> = {}): ChainStep {
  return {
    caller: id(from),
    callee: id(to),
    parent: null,
    limits: { maxHops: null, maxDelegationsPerRoot: null },
    narrow: { destinations: null, scope: null, deadlineMs: null },
    nowMs: 1_000_000,
    ttlMs: 3_600_000,
    newTxn: 'txn-1',
    ...more,
  }
}

const held = (link: ReturnType<typeof extendChain>): DelegationClaims => ({
  ...link,
  iss: 'gateway',
  jti: 'x',
})

const failsAs = (code: string) => (error: unknown) =>
  error instanceof MeshError && error.code === code

describe('extending a chain of delegation', () => {
  it('begins with the caller, for the callee alone', () => {
    const link = extendChain(step('planner', 'researcher'))
    assert.equal(link.sub, id('planner'))
    assert.equal(link.aud, id('researcher'))
    assert.deepEqual(link.act, { sub: id('planner') })
    assert.equal(link.txn, 'txn-1')
    assert.equal(link.hop, 1)
    assert.equal(link.exp, 1_000 + 3_600)
  })

  it('ends with the task, and never later than the parent or the gateway allow', () => {
    const until = (deadlineMs: number | null, parent: DelegationClaims | null = null) => {
      const narrow = { destinations: null, scope: null, deadlineMs }
      return held(extendChain(step(parent === null ? 'a' : 'b', 'c', { narrow, parent })))
    }
    assert.equal(until(1_005_000).exp, 1_005)
    // the second in which the task ends is its own
    assert.equal(until(1_005_001).exp, 1_006)
    assert.equal(until(9_999_999_999_999).exp, 1_000 + 3_600)
    const short = { ...until(1_005_000), aud: id('b') }
    assert.equal(until(1_010_000, short).exp, 1_005)
    assert.equal(until(null, short).exp, 1_005)
  })

  it('remembers everybody it came through, innermost the first', () => {
    const first = held(extendChain(step('a', 'b')))
    const second = held(extendChain(step('b', 'c', { parent: first, newTxn: 'other' })))
    const third = extendChain(step('c', 'd', { parent: second }))
    assert.equal(third.sub, id('a'))
    assert.equal(third.txn, 'txn-1')
    assert.equal(third.hop, 3)
    assert.deepEqual(actorsOf(third.act), [id('a'), id('b'), id('c')])
    assert.deepEqual(third.act, { sub: id('c'), act: { sub: id('b'), act: { sub: id('a') } } })
  })

  it('detects a loop of any length, also with oneself', () => {
    assert.throws(() => extendChain(step('a', 'a')), failsAs('MESH_CHAIN_LOOP_DETECTED'))
    const first = held(extendChain(step('a', 'b')))
    assert.throws(
      () => extendChain(step('b', 'a', { parent: first })),
      failsAs('MESH_CHAIN_LOOP_DETECTED'),
    )
    const second = held(extendChain(step('b', 'c', { parent: first })))
    for (const to of ['a', 'b', 'c'])
      assert.throws(
        () => extendChain(step('c', to, { parent: second })),
        failsAs('MESH_CHAIN_LOOP_DETECTED'),
      )
  })

  it('ends at the least of the hop limits along the way', () => {
    const limits = (maxHops: number) => ({ maxHops, maxDelegationsPerRoot: null })
    const first = held(extendChain(step('a', 'b', { limits: limits(2) })))
    const second = held(extendChain(step('b', 'c', { parent: first, limits: limits(100) })))
    assert.equal(second.max_hops, 2)
    assert.throws(
      () => extendChain(step('c', 'd', { parent: second, limits: limits(100) })),
      failsAs('MESH_CHAIN_HOPS_EXCEEDED'),
    )
    assert.throws(
      () => extendChain(step('a', 'b', { limits: limits(0) })),
      failsAs('MESH_CHAIN_HOPS_EXCEEDED'),
    )
  })

  it('has an end where no limit is set', () => {
    let parent: DelegationClaims | null = null
    assert.throws(() => {
      for (let i = 0; i < 1_000; i += 1)
        parent = held(extendChain(step(`a${i}`, `a${i + 1}`, { parent })))
    }, failsAs('MESH_CHAIN_HOPS_EXCEEDED'))
  })

  it('narrows destinations and never widens them', () => {
    const narrow = (destinations: string[] | null) => ({
      narrow: { destinations, scope: null, deadlineMs: null },
    })
    const first = held(extendChain(step('a', 'b', narrow(['*.example.com', 'API.github.com']))))
    assert.deepEqual(first.allowed_destinations, ['*.example.com', 'api.github.com'])
    const second = held(
      extendChain(
        step('b', 'c', { parent: first, ...narrow(['docs.example.com', 'evil.com', '*.com']) }),
      ),
    )
    assert.deepEqual(
      [...(second.allowed_destinations ?? [])].sort(),
      // `*.com` was asked for: of it, what was held
      ['*.example.com', 'api.github.com', 'docs.example.com'],
    )
    const third = extendChain(step('c', 'd', { parent: second }))
    assert.deepEqual(third.allowed_destinations, second.allowed_destinations)
    const none = held(extendChain(step('a', 'b', narrow([]))))
    assert.deepEqual(none.allowed_destinations, [])
    assert.deepEqual(
      extendChain(step('b', 'c', { parent: none, ...narrow(['example.com']) }))
        .allowed_destinations,
      [],
    )
  })

  it('narrows scope and never widens it', () => {
    const narrow = (scope: string[] | null) => ({
      narrow: { destinations: null, scope, deadlineMs: null },
    })
    const first = held(extendChain(step('a', 'b', narrow(['read', 'write']))))
    assert.equal(first.scope, 'read write')
    const second = held(
      extendChain(step('b', 'c', { parent: first, ...narrow(['write', 'admin']) })),
    )
    assert.equal(second.scope, 'write')
    assert.equal(extendChain(step('c', 'd', { parent: second })).scope, 'write')
    assert.throws(
      () => extendChain(step('a', 'b', narrow(['a b']))),
      failsAs('MESH_TOKEN_REQUEST_INVALID'),
    )
  })

  it('refuses lists so long that comparing them would hold up others', () => {
    const long = Array.from({ length: 201 }, (_, i) => `a${i}.example`)
    for (const narrow of [
      { destinations: long, scope: null, deadlineMs: null },
      { destinations: null, scope: long, deadlineMs: null },
    ])
      assert.throws(
        () => extendChain(step('a', 'b', { narrow })),
        failsAs('MESH_TOKEN_REQUEST_INVALID'),
      )
  })

  it('refuses destinations that are none', () => {
    assert.throws(
      () =>
        extendChain(
          step('a', 'b', {
            narrow: { destinations: ['http://x/'], scope: null, deadlineMs: null },
          }),
        ),
      failsAs('MESH_TOKEN_REQUEST_INVALID'),
    )
  })

  it('never outlives its parent', () => {
    const first = held(extendChain(step('a', 'b', { ttlMs: 60_000 })))
    const later = extendChain(step('b', 'c', { parent: first, nowMs: 1_030_000 }))
    assert.equal(later.exp, first.exp)
  })

  it('holds less or the same of everything at each hop, whatever is asked for', () => {
    const hosts = fc.subarray(['a.com', '*.a.com', 'x.a.com', 'b.com', '*.b.com', 'c.b.com:8443'])
    const scopes = fc.subarray(['r', 'w', 'x'])
    const ask = fc.record({
      destinations: fc.option(hosts),
      scope: fc.option(scopes),
      ttlMs: fc.integer({ min: 1_000, max: 10_000_000 }),
      maxHops: fc.option(fc.integer({ min: 1, max: 10 })),
      deadlineMs: fc.option(fc.integer({ min: 0, max: 9_999_999_999_999 })),
    })
    fc.assert(
      fc.property(fc.array(ask, { minLength: 2, maxLength: 6 }), (asks) => {
        let parent: DelegationClaims | null = null
        for (const [i, { destinations, scope, ttlMs, maxHops, deadlineMs }] of asks.entries()) {
          let link: ReturnType<typeof extendChain>
          try {
            link = extendChain(
              step(`a${i}`, `a${i + 1}`, {
                parent,
                ttlMs,
                narrow: { destinations, scope, deadlineMs },
                limits: { maxHops, maxDelegationsPerRoot: null },
              }),
            )
          } catch (error) {
            assert.ok(failsAs('MESH_CHAIN_HOPS_EXCEEDED')(error))
            return
          }
          if (parent !== null) {
            const before: DelegationClaims = parent
            assert.ok(link.exp <= before.exp && link.max_hops <= before.max_hops)
            assert.equal(link.hop, before.hop + 1)
            assert.equal(link.txn, before.txn)
            if (before.scope !== undefined)
              for (const name of (link.scope ?? 'missing').split(' ').filter(Boolean))
                assert.ok(before.scope.split(' ').includes(name))
            if (before.allowed_destinations !== undefined)
              assert.ok(link.allowed_destinations !== undefined)
          }
          parent = held(link)
        }
      }),
    )
  })
})
