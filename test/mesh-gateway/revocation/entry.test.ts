import assert from 'node:assert/strict'
import { hasEnded, readEntry } from '../../../mesh-gateway/src/revocation/entry.ts'

describe('an entry of the list of revocations', () => {
  const good = {
    kind: 'agent',
    value: 'spiffe://mesh.internal/tenant/acme/agent/a',
    reason: 'left the company',
    since: '2026-11-29T12:00:00.000Z',
    until: null,
    by: null,
  }

  it('is read as it stands, with a reason, an end and an author, or without', () => {
    for (const more of [
      {},
      { reason: null },
      { reason: '' },
      { reason: 'r'.repeat(500) },
      { until: '2026-11-30T12:00Z' },
      { by: 'acme/planner' },
    ])
      assert.deepEqual(readEntry({ ...good, ...more }), { ...good, ...more })
    const { by: _, ...old } = good
    assert.deepEqual(readEntry(old), good)
  })

  for (const [what, bad, says] of [
    ['no object', 'text', /not an object/],
    ['nothing', null, /not an object/],
    ['an unknown key', { ...good, more: 1 }, /the unknown key "more"/],
    ['an unknown kind', { ...good, kind: 'host' }, /the kind of an entry/],
    ['a value of another kind', { ...good, kind: 'certificate' }, /names no certificate/],
    ['a value that is no text', { ...good, value: 7 }, /names no agent/],
    ['a reason that is no text', { ...good, reason: 7 }, /the reason of an entry/],
    ['no reason', { ...good, reason: undefined }, /the reason of an entry/],
    ['too long a reason', { ...good, reason: 'r'.repeat(501) }, /up to 500 characters/],
    ['a since that is no time', { ...good, since: 'today' }, /the since/],
    ['a since without a zone', { ...good, since: '2026-11-29T12:00:00' }, /the since/],
    ['a month that is none', { ...good, since: '2026-13-29T12:00:00Z' }, /the since/],
    ['an until that is no time', { ...good, until: 'soon' }, /the until/],
    ['no until', { ...good, until: undefined }, /the until/],
    ['an author without a tenant', { ...good, by: 'planner' }, /the by/],
    ['an author with a bad tenant', { ...good, by: 'a_b/planner' }, /the by/],
    ['an author with a bad name', { ...good, by: 'acme/plan ner' }, /the by/],
    ['an author with more', { ...good, by: 'acme/planner/x' }, /the by/],
    ['an author that is no text', { ...good, by: 7 }, /the by/],
  ] as const)
    it(`is refused with ${what}`, () => {
      const read = readEntry(bad)
      assert.ok(typeof read === 'string')
      assert.match(read, says)
    })

  it('ends when its time has come, and without an end never', () => {
    const until = '2026-11-30T12:00:00.000Z'
    assert.equal(hasEnded({ until }, Date.parse(until) - 1), false)
    assert.equal(hasEnded({ until }, Date.parse(until)), true)
    assert.equal(hasEnded({ until: null }, Infinity), false)
  })
})
