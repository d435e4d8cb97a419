import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  formatHostPattern,
  type HostPattern,
  parseHostPattern,
} from '../../../mesh-gateway/src/net/host-pattern.ts'
import { narrowDestinations } from '../../../mesh-gateway/src/tokens/narrow-destinations.ts'

/** Without a port a pattern means 80 and 443. */
function covers(outer: HostPattern, inner: HostPattern): boolean {
  const port =
    outer.port === inner.port || (outer.port === null && (inner.port === 80 || inner.port === 443))
  if (!port) return false
  if (!outer.wildcard) return !inner.wildcard && outer.host === inner.host
  return inner.host.endsWith(`.${outer.host}`) || (inner.wildcard && inner.host === outer.host)
}

function parsed(text: string): HostPattern {
  const pattern = parseHostPattern(text)
  assert.ok(typeof pattern !== 'string')
  return pattern
}

describe('narrowing destinations', () => {
  const seed = Date.now() % 2 ** 31
  const host = fc.constantFrom('a.test', 'b.a.test', 'c.b.a.test', 'xa.test', 'test')
  const text = fc
    .tuple(fc.constantFrom('', '*.'), host, fc.constantFrom('', '', ':443', ':80', ':8443'))
    .map((parts) => parts.join(''))
  const list = fc.uniqueArray(text, { maxLength: 10 })

  it(`keeps what comparing each with each keeps (seed ${seed})`, () => {
    fc.assert(
      fc.property(list, list, (wanted, allowed) => {
        const limits = allowed.map(parsed)
        const inside = (one: string) => limits.some((limit) => covers(limit, parsed(one)))
        const expected = wanted.flatMap((one) =>
          inside(one)
            ? [formatHostPattern(parsed(one))]
            : limits.filter((limit) => covers(parsed(one), limit)).map(formatHostPattern),
        )
        const found = narrowDestinations(wanted, allowed)
        assert.deepEqual([...found.within].sort(), [...new Set(expected)].sort())
        assert.deepEqual(
          found.outside,
          wanted.filter((one) => !inside(one)),
        )
      }),
      { numRuns: 3000, seed },
    )
  })

  it('refuses many wide patterns for a long list', () => {
    const allowed = Array.from({ length: 9_000 }, (_, n) => `h${n}.other.example`)
    const wide = Array.from({ length: 200 }, (_, n) => `*.n${n}.test`)
    assert.throws(() => narrowDestinations(wide, allowed), { code: 'MESH_TOKEN_REQUEST_INVALID' })
    assert.deepEqual(narrowDestinations(['*.other.example'], allowed).within.length, 9_000)
  })
})
