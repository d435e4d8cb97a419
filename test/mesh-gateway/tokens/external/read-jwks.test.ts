import assert from 'node:assert/strict'
import { generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import fc from 'fast-check'
import {
  claimAt,
  claimPathFault,
  parseClaimPath,
} from '../../../../mesh-gateway/src/config/claim-path.ts'
import { EXTERNAL_ALGORITHMS } from '../../../../mesh-gateway/src/config/external-issuers.ts'
import { readJwks } from '../../../../mesh-gateway/src/tokens/external/read-jwks.ts'

describe('a JWKS', () => {
  const jwk = (key: KeyObject, more: object = {}) => ({ ...key.export({ format: 'jwk' }), ...more })
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const read = (...keys: unknown[]) => readJwks(JSON.stringify({ keys }), EXTERNAL_ALGORITHMS)
  const good = jwk(ec.publicKey, { kid: 'good' })
  const leftOut = (key: unknown, algorithms: readonly string[] = EXTERNAL_ALGORITHMS) => {
    const text = JSON.stringify({ keys: [good, key] })
    const { keys, leftOut: why } = readJwks(text, algorithms)
    assert.deepEqual(
      keys.map(({ kid }) => kid),
      ['good'],
    )
    assert.equal(why.length, 1)
    return why[0] ?? ''
  }

  it('gives the keys that tokens can be verified with, and of them no more than matters', () => {
    const more = { use: 'sig', key_ops: ['verify'], alg: 'RS256', x5c: ['x'], evil: { a: 1 } }
    const { keys, leftOut: why } = read(good, jwk(rsa.publicKey, { kid: 'r', ...more }))
    assert.deepEqual(why, [])
    assert.deepEqual(
      keys.map((key) => Object.keys(key).toSorted()),
      [
        ['crv', 'kid', 'kty', 'x', 'y'],
        ['alg', 'e', 'kid', 'kty', 'n'],
      ],
    )
  })

  it('is the same in another order, and another with another key', () => {
    const other = jwk(rsa.publicKey, { kid: 'r' })
    assert.equal(read(good, other).digest, read(other, good, 5).digest)
    assert.notEqual(read(good, other).digest, read(good).digest)
    assert.notEqual(read(good).digest, read({ ...good, kid: 'x' }).digest)
  })

  it('leaves out what is private, weak, slow, damaged or for something else', () => {
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
    const huge: JsonWebKey = {
      ...jwk(rsa.publicKey),
      n: Buffer.alloc(1280, 0xff).toString('base64url'),
    }
    const slow = { ...jwk(rsa.publicKey), e: Buffer.alloc(200, 0xff).toString('base64url') }
    const ed448 = generateKeyPairSync('ed448').publicKey
    const k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey
    const cases: [unknown, RegExp][] = [
      [jwk(ec.privateKey), /private or secret/],
      [jwk(rsa.privateKey), /private or secret/],
      [{ kty: 'oct', k: 'AAAA', alg: 'HS256' }, /private or secret/],
      [{ ...good, d: '' }, /private or secret/],
      [jwk(small), /less than 2048/],
      [huge, /more than 8192/],
      [slow, /exponent/],
      [{ ...jwk(rsa.publicKey), e: 'AQ' }, /exponent/],
      [jwk(ed448), /no algorithm/],
      [jwk(k1), /no algorithm/],
      [{ ...good, alg: 'HS256' }, /no algorithm/],
      [{ ...good, alg: 'RS256' }, /no algorithm/],
      [{ ...good, alg: 5 }, /no algorithm/],
      [{ ...good, use: 'enc' }, /not for signatures/],
      [{ ...good, key_ops: ['sign'] }, /not for signatures/],
      [{ ...good, key_ops: 'verify' }, /not for signatures/],
      [{ ...good, kid: 5 }, /kid/],
      [{ ...good, kid: 'x'.repeat(257) }, /kid/],
      [{ ...good, x: good.y }, /damaged/],
      [{ ...good, x: undefined }, /damaged/],
      [{ ...good, x: 'AA' }, /damaged/],
      [{ kty: 'RSA', n: '', e: 'AQAB' }, /damaged|less than/],
      [{ kty: 'RSA' }, /damaged/],
      [null, /no object/],
      ['x', /no object/],
      [[], /no algorithm/],
    ]
    for (const [key, why] of cases) assert.match(leftOut(key), why, JSON.stringify(key))
    assert.match(leftOut(jwk(rsa.publicKey), ['ES256']), /no algorithm/)
  })

  it('without a key of use is refused, as is one with too many, and nothing but that is thrown', () => {
    const refuses = (text: string) =>
      assert.throws(
        () => readJwks(text, EXTERNAL_ALGORITHMS),
        (error) => error instanceof MeshError && error.code === 'MESH_TOKEN_ISSUER_UNAVAILABLE',
        text.slice(0, 80),
      )
    for (const text of ['', '{', 'null', '5', '[]', '{"keys":5}', '{"keys":[]}', '{"keys":[{}]}'])
      refuses(text)
    refuses(JSON.stringify({ keys: Array.from({ length: 101 }, () => good) }))
    refuses(`{"keys":[${'['.repeat(50_000)}${']'.repeat(50_000)}]}`)
    const key = fc.record(
      {
        kty: fc.constantFrom('RSA', 'EC', 'OKP', 'oct', 'AKP', 5, null),
        crv: fc.constantFrom('P-256', 'P-521', 'Ed25519', '', {}),
        ...Object.fromEntries(['n', 'e', 'x', 'y', 'kid', 'alg'].map((n) => [n, fc.jsonValue()])),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(key, fc.jsonValue())), (keys) => {
        try {
          read(...keys)
        } catch (error) {
          assert.ok(error instanceof MeshError, String(error))
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('the place of a claim', () => {
  const payload: unknown = JSON.parse(
    '{"tenant":"acme","a/b":{"~":"deep"},"list":["zero"],"":{"":"empty"},"__proto__":{"x":"own"}}',
  )
  const at = (text: string) => {
    assert.equal(claimPathFault(text), null)
    assert.ok(typeof payload === 'object' && payload !== null)
    return claimAt(payload, parseClaimPath(text))
  }

  it('is a name, or a JSON pointer', () => {
    assert.equal(at('tenant'), 'acme')
    assert.equal(at('/tenant'), 'acme')
    assert.equal(at('/a~1b/~0'), 'deep')
    assert.equal(at('/list/0'), 'zero')
    assert.equal(at('//'), 'empty')
    assert.equal(at('/__proto__/x'), 'own')
  })

  it('is empty where the token has nothing of its own', () => {
    for (const text of ['a~1b', 'constructor', '/constructor/name', '/tenant/length', '/x/y'])
      assert.equal(at(text), undefined, text)
  })

  it('that is none is refused', () => {
    for (const text of ['', '/~', '/a~2b', 'x'.repeat(201)]) assert.ok(claimPathFault(text))
  })
})
