import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { errors } from 'jose'
import { toMeshError } from '../../../mesh-gateway/src/tokens/jose-error.ts'

describe('an error of jose', () => {
  const NOW_MS = 1_000_000
  const claim = (name: string, reason: string, payload: object = {}) =>
    new errors.JWTClaimValidationFailed('x', { ...payload }, name, reason)

  it('becomes the code that says what is wrong with the token, and stays its cause', () => {
    const table: [code: string, error: unknown][] = [
      ['MESH_TOKEN_SIGNATURE', new errors.JWSSignatureVerificationFailed()],
      ['MESH_TOKEN_ALGORITHM', new errors.JOSEAlgNotAllowed('x')],
      ['MESH_TOKEN_EXPIRED', new errors.JWTExpired('x', {}, 'exp', 'check_failed')],
      ['MESH_TOKEN_AUDIENCE', claim('aud', 'check_failed')],
      ['MESH_TOKEN_ISSUER', claim('iss', 'check_failed')],
      ['MESH_TOKEN_NOT_YET_VALID', claim('nbf', 'check_failed')],
      ['MESH_TOKEN_MALFORMED', claim('typ', 'check_failed')],
      ['MESH_TOKEN_MALFORMED', claim('sub', 'check_failed')],
      // missing, or of another shape
      ...['aud', 'iss', 'nbf', 'typ'].flatMap((name): [string, unknown][] => [
        ['MESH_TOKEN_MALFORMED', claim(name, 'missing')],
        ['MESH_TOKEN_MALFORMED', claim(name, 'invalid')],
      ]),
      ['MESH_TOKEN_MALFORMED', new errors.JWSInvalid('x')],
      ['MESH_TOKEN_MALFORMED', new TypeError('x')],
      ['MESH_TOKEN_MALFORMED', 'x'],
    ]
    for (const [code, cause] of table) {
      const error = toMeshError(cause, NOW_MS)
      assert.equal(error.code, code, String(cause))
      assert.equal(error.cause, cause)
    }
  })

  it('says by how much a clock is wrong, where the token says when', () => {
    const expired = (exp?: number) =>
      toMeshError(new errors.JWTExpired('x', exp === undefined ? {} : { exp }), NOW_MS).message
    assert.equal(expired(990), 'the token expired 10 seconds ago')
    assert.equal(expired(0), 'the token expired 16 minutes ago')
    assert.equal(expired(), 'the token has expired')
    const early = (payload: object) =>
      toMeshError(claim('nbf', 'check_failed', payload), NOW_MS).message
    assert.match(early({ nbf: 1040 }), /^the token is valid in 40 seconds only/)
    assert.equal(early({}), 'the token is not valid yet')
  })

  it('tells a token of another kind from one that is damaged', () => {
    assert.match(toMeshError(claim('typ', 'check_failed'), 0).message, /of another kind/)
    assert.doesNotMatch(toMeshError(claim('typ', 'missing'), 0).message, /of another kind/)
  })

  it('of ours is passed on as it is', () => {
    const error = new MeshError('MESH_TOKEN_KEY_UNKNOWN')
    assert.equal(toMeshError(error, 0), error)
  })
})
