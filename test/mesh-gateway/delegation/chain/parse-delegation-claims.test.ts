import assert from 'node:assert/strict'
import { createSpiffeTemplate, uuidV7 } from '@clawmesh/proto'
import { parseDelegationClaims } from '../../../../mesh-gateway/src/delegation/chain/parse-delegation-claims.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const id = (agent: string) => spiffe.agent('acme', agent).id
const ID = uuidV7()
const WHOLE = {
  ...{ iss: 'gateway', sub: id('a'), aud: id('b'), act: { sub: id('a') }, txn: 'txn', jti: 'jti' },
  ...{ hop: 1, max_hops: 5, iat: 0, exp: 10 },
}

describe('the claims of a delegation token', () => {
  it('are taken as they are, those that may be absent too', () => {
    assert.deepEqual(parseDelegationClaims(WHOLE, spiffe), WHOLE)
    const more = {
      ...{ ...WHOLE, delegation_id: ID, parent_id: ID, scope: 'read' },
      allowed_destinations: ['a.test'],
    }
    assert.deepEqual(parseDelegationClaims({ ...more, other: 'x' }, spiffe), more)
    const nothing = { ...WHOLE, scope: '', allowed_destinations: [] }
    assert.deepEqual(parseDelegationClaims(nothing, spiffe), nothing)
  })

  const wrong: Record<string, readonly unknown[]> = {
    iss: [undefined, '', 5],
    sub: [undefined, '', 'a', spiffe.gateway('gw').id, 5],
    aud: [undefined, '', 'b', spiffe.gateway('gw').id, [id('b')]],
    act: [undefined, null, 'a', {}, { sub: 'a' }, { sub: id('a'), act: {} }],
    txn: [undefined, '', 5],
    jti: [undefined, '', 5],
    delegation_id: [null, '', 'one', 5],
    parent_id: [null, '', 'one', 5],
    hop: [undefined, 0, -1, 1.5, '1'],
    max_hops: [undefined, 0, 1.5, '5'],
    iat: [undefined, -1, '0', Number.NaN],
    exp: [undefined, -1, '10', Number.POSITIVE_INFINITY],
    scope: [null, 5, ['read']],
    allowed_destinations: [null, 'a.test', [''], ['a.test', 5], {}],
  }
  for (const [claim, values] of Object.entries(wrong))
    it(`are refused where ${claim} is not as it should be`, () => {
      for (const value of values)
        assert.throws(
          () => parseDelegationClaims({ ...WHOLE, [claim]: value }, spiffe),
          { code: 'MESH_TOKEN_MALFORMED', message: new RegExp(`claim ${claim} `) },
          String(value),
        )
    })
})
