import assert from 'node:assert/strict'
import { type Actor, createSpiffeTemplate } from '@clawmesh/proto'
import {
  isCount,
  isSeconds,
  isText,
  parseActor,
  parseCrt,
} from '../../../mesh-gateway/src/tokens/claim-shapes.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const malformed = { code: 'MESH_TOKEN_MALFORMED' }

describe('the shapes of claims', () => {
  it('have bounds', () => {
    const table: [shape: (value: unknown) => boolean, good: unknown[], wrong: unknown[]][] = [
      [isText, ['x', 'x'.repeat(2048)], ['', 'x'.repeat(2049), 5, null, undefined, ['x']]],
      [isSeconds, [0, 0.5, 2e9], [-1, -0.001, NaN, Infinity, '5', null, undefined]],
      [isCount, [1, 2, 2 ** 53 - 1], [0, -1, 1.5, 2 ** 53, NaN, Infinity, '1', null, undefined]],
    ]
    for (const [shape, good, wrong] of table) {
      for (const value of good) assert.equal(shape(value), true, String(value))
      for (const value of wrong) assert.equal(shape(value), false, String(value))
    }
  })
})

describe('the actors of a token', () => {
  const chainOf = (depth: number): Actor =>
    Array.from({ length: depth }).reduce<Actor | undefined>(
      (act, _, n) => ({
        sub: spiffe.agent('acme', `a${n}`).id,
        ...(act === undefined ? {} : { act }),
      }),
      undefined,
    ) ?? assert.fail()

  it('are 64 at most', () => {
    for (const depth of [1, 2, 64])
      assert.deepEqual(parseActor(chainOf(depth), spiffe), chainOf(depth))
    assert.throws(() => parseActor(chainOf(65), spiffe), malformed)
  })

  it('are agents of this mesh, each with the certificates that it names, and nothing more of them', () => {
    const sub = spiffe.agent('acme', 'planner').id
    const crt = ['a', 'b']
    assert.deepEqual(parseActor({ sub, crt, else: 5 }, spiffe), { sub, crt })
    for (const wrong of [
      ...[null, undefined, 5, sub, {}, { sub: 5 }, { sub: '' }, { sub: 'x' }],
      ...[{ sub: sub.replace('mesh.', 'other.') }, { sub: spiffe.gateway('gw').id }],
      ...[
        { sub, act: null },
        { sub, act: {} },
        { sub, act: { sub: 'x' } },
      ],
      ...[
        { sub, crt: null },
        { sub, crt: 'x' },
        { sub, act: { sub, crt: [5] } },
      ],
    ])
      assert.throws(() => parseActor(wrong, spiffe), malformed, JSON.stringify(wrong))
  })

  it('name certificates by texts', () => {
    const list = ['x', 'y']
    assert.deepEqual(parseCrt(list), list)
    assert.notEqual(parseCrt(list), list)
    for (const wrong of [null, 'x', {}, [''], ['x', 5]])
      assert.throws(() => parseCrt(wrong), malformed, JSON.stringify(wrong))
  })
})
