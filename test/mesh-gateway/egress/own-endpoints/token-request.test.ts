/** What is read of requests for a token, and to revoke one, of any credential and body. */
import assert from 'node:assert/strict'
import { parseRevokeRequest } from '../../../../mesh-gateway/src/egress/own-endpoints/revoke-request.ts'
import { parseTokenRequest } from '../../../../mesh-gateway/src/egress/own-endpoints/token-request.ts'
import { Refused } from '../../../../mesh-gateway/src/egress/refused.ts'

const KEY = 'a.B_c~+/-1=='
const INVALID = 'MESH_TOKEN_REQUEST_INVALID'
const NO_KEY = 'MESH_ACCOUNT_KEY_INVALID'

describe('a request for a token', () => {
  const read = (authorization: string | null, body: string) => {
    const parsed = parseTokenRequest(authorization, Buffer.from(body))
    if (parsed instanceof Refused)
      return `${parsed.gate} ${parsed.error.code}: ${parsed.error.message}`
    const { agentId, destinations, ttlMs } = parsed.request
    return [parsed.key.reveal(), agentId, destinations, ttlMs]
  }

  for (const [authorization, body, expected] of [
    [`Bearer ${KEY}`, '', [KEY, null, null, null]],
    [`bearer   ${KEY}`, '{}', [KEY, null, null, null]],
    [null, '{"key":"k"}', ['k', null, null, null]],
    [
      `BEARER ${'k'.repeat(512)}`,
      '{"agent_id":"a","destinations":["x.test"],"ttl_seconds":31536000}',
      ['k'.repeat(512), 'a', ['x.test'], 31_536_000_000],
    ],
    [null, `{"key":"${'k'.repeat(512)}","destinations":[]}`, ['k'.repeat(512), null, [], null]],
    [null, '{"key":"k","ttl_seconds":1}', ['k', null, null, 1_000]],
  ] as const)
    it(`with ${authorization?.slice(0, 24)} and ${body.slice(0, 40)} is read`, () =>
      assert.deepEqual(read(authorization, body), expected))

  const noKey = `credential ${NO_KEY}: no service-account key was presented`
  const faulty = (why: string) => `syntax ${INVALID}: the body is not as it must be: ${why}`
  for (const [authorization, body, expected] of [
    [null, '', noKey],
    [null, '{}', noKey],
    ['', '', noKey],
    ['Bearer ', '', noKey],
    ['xBearer k', '', noKey],
    ['Bearer k x', '', noKey],
    ['Bearer k=x', '', noKey],
    [`Bearer ${'k'.repeat(513)}`, '', noKey],
    ['Basic k', '{"key":"k"}', noKey],
    [
      'Bearer k',
      '{"key":"k"}',
      `syntax ${INVALID}: the key stands both in Authorization and in the body`,
    ],
    [null, '[]', faulty('it must be an object')],
    [null, '{"key":"k","ttl":1}', faulty('it has a key that is not known')],
    [null, '{"key":""}', faulty('key is not valid')],
    [null, `{"key":"${'k'.repeat(513)}"}`, faulty('key is not valid')],
    [null, '{"key":"k","agent_id":""}', faulty('agent_id is not valid')],
    [null, `{"key":"k","agent_id":"${'a'.repeat(64)}"}`, faulty('agent_id is not valid')],
    [null, '{"key":"k","destinations":["x",""]}', faulty('destinations.1 is not valid')],
    [
      null,
      `{"key":"k","destinations":["${'a'.repeat(301)}"]}`,
      faulty('destinations.0 is not valid'),
    ],
    [null, '{"key":"k","ttl_seconds":0}', faulty('ttl_seconds is not valid')],
    [null, '{"key":"k","ttl_seconds":1.5}', faulty('ttl_seconds is not valid')],
    [null, '{"key":"k","ttl_seconds":31536001}', faulty('ttl_seconds is not valid')],
  ] as const)
    it(`with ${authorization?.slice(0, 24)} and ${body.slice(0, 40)} is refused`, () =>
      assert.equal(read(authorization, body), expected))

  it('that is no JSON, or has a key twice, is refused', () => {
    for (const body of ['{', 'null x', '{"key":"a","key":"b"}'])
      assert.match(String(read(null, body)), /^syntax .*: the body is not JSON as it must be: ./)
  })
})

describe('a request to revoke a token', () => {
  const read = (authorization: string | null, contentType: string | null, body: string) => {
    const parsed = parseRevokeRequest(authorization, contentType, Buffer.from(body))
    if (parsed instanceof Refused)
      return `${parsed.gate} ${parsed.error.code}: ${parsed.error.message}`
    return [parsed.token.reveal(), parsed.key?.reveal() ?? null]
  }
  const FORM = 'application/x-www-form-urlencoded'
  const bad = (message: string) => `syntax ${INVALID}: ${message}`
  const noKey = `credential ${NO_KEY}: the Authorization header is not Bearer with a key or a token`

  for (const [authorization, type, body, expected] of [
    // the token speaks for itself
    ['Bearer a.b.c', null, '', ['a.b.c', null]],
    [null, null, '{"token":"a.b.c"}', ['a.b.c', null]],
    [null, FORM, 'token=a.b.c&token_type_hint=x', ['a.b.c', null]],
    ['Bearer a.b.c', FORM, 'token=a.b.c', ['a.b.c', null]],
    ['Bearer a.b.c', FORM, 'token=d.e.f', bad('a token may revoke itself alone')],
    // or an account does
    ['bearer  key', `${FORM.toUpperCase()} ; charset=utf-8`, 'token=a%2Eb', ['a.b', 'key']],
    ['Bearer key', 'application/json', '{"token":"a.b","client_id":1}', ['a.b', 'key']],
    ['Bearer key', null, '', bad('no token is named')],
    [null, null, '', bad('no token is named')],
    [null, FORM, 'token=a&token=b', bad('the body must name one token')],
    [null, FORM, 'token=', bad('the body must name one token')],
    [null, FORM, 'x=a', bad('the body must name one token')],
    [null, null, '{}', bad('the body must name one token')],
    [null, null, '{"token":1}', bad('the body must name one token')],
    [null, null, '{"token":""}', bad('the body must name one token')],
    [null, null, 'null', bad('the body must name one token')],
    [null, null, '"token"', bad('the body must name one token')],
    [null, null, 'token=a', bad('the body is neither a form nor JSON')],
    [null, FORM, `token=${'a'.repeat(8192)}`, ['a'.repeat(8192), null]],
    [null, FORM, `token=${'a'.repeat(8193)}`, bad('the token is too long')],
    ['', null, '', noKey],
    ['Basic key', FORM, 'token=a', noKey],
    ['Bearer key x', FORM, 'token=a', noKey],
    ['x Bearer key', FORM, 'token=a', noKey],
    [`Bearer ${'a'.repeat(8193)}`, FORM, 'token=a', noKey],
  ] as const)
    it(`with ${authorization?.slice(0, 20)}, ${type} and ${body.slice(0, 30)} is ${typeof expected === 'string' ? 'refused' : 'read'}`, () =>
      assert.deepEqual(read(authorization, type, body), expected))
})
