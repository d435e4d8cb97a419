/** Which credential a request has, in every form and beside others, and which Authorization is the gateway's own. */
import assert from 'node:assert/strict'
import {
  findCredential,
  isOwnAuthorization,
} from '../../../mesh-gateway/src/egress/authenticate.ts'
import { Refused } from '../../../mesh-gateway/src/egress/refused.ts'
import type { EntryForm } from '../../../mesh-gateway/src/egress/request.ts'

const ISSUER = 'https://gateway.test'
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const tokenOf = (iss: string) => `${part({ alg: 'EdDSA' })}.${part({ iss })}.c2lnbmF0dXJl`
const OWN = tokenOf(ISSUER)
const OTHER = tokenOf('https://other.test')
const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64')
const NEITHER = 'the credential is neither Bearer nor Basic'

describe('the credential of a request', () => {
  const find = (
    form: EntryForm,
    ...fields: readonly (readonly [name: string, value: string])[]
  ) => {
    const found = findCredential(
      fields.map(([name, value]) => ({ name, rawName: name, value })),
      form,
      ISSUER,
    )
    if (!(found instanceof Refused)) return [found.token, found.user]
    assert.equal(found.gate, 'credential')
    if (found.error.code === 'MESH_TOKEN_MISSING') return 'none'
    assert.equal(found.error.code, 'MESH_TOKEN_MALFORMED')
    return found.error.message
  }

  for (const [value, expected] of [
    ['Bearer a.b.c', ['a.b.c', null]],
    ['BEARER   a~+/_-=', ['a~+/_-=', null]],
    [`Basic ${base64('bot-01:a.b.c')}`, ['a.b.c', 'bot-01']],
    [`basic  ${base64('bot:a:b')}`, ['a:b', 'bot']],
    [`Basic ${base64('bot:')}`, ['', 'bot']],
    [`Bearer ${'a'.repeat(12_281)}`, ['a'.repeat(12_281), null]],
    [`Bearer ${'a'.repeat(12_282)}`, 'the credential is too long'],
    [`Basic ${base64('bot')}`, 'the Basic credential has no password'],
    [`Basic ${base64(':a')}`, 'the Basic credential has no user name'],
    ['', NEITHER],
    ['a.b.c', NEITHER],
    ['Bearer ', NEITHER],
    ['Bearera.b.c', NEITHER],
    ['x Bearer a.b.c', NEITHER],
    ['Bearer a.b.c x', NEITHER],
    ['Bearer a=b', NEITHER],
    [`Basic ${base64('bot:a')}x!`, NEITHER],
    [`x Basic ${base64('bot:a')}`, NEITHER],
    ['Basic YTpi===', NEITHER],
    ['Digest a', NEITHER],
  ] as const)
    it(`for the proxy ${value.slice(0, 30)} is ${typeof expected === 'string' ? 'refused' : 'read'}`, () => {
      for (const form of ['connect', 'absolute', 'relay'] as const)
        assert.deepEqual(find(form, ['proxy-authorization', value]), expected)
    })

  for (const [form, value, expected] of [
    ['relay', `Bearer ${OWN}`, [OWN, null]],
    ['absolute', `bearer ${OWN}`, [OWN, null]],
    // what goes through a tunnel is not for the gateway
    ['connect', `Bearer ${OWN}`, 'none'],
    ['relay', `Bearer ${OTHER}`, 'none'],
    ['relay', 'Bearer opaque', 'none'],
    ['relay', `Basic ${base64(`bot:${OWN}`)}`, 'none'],
    ['relay', OWN, 'none'],
  ] as const)
    it(`in ${form} form is in Authorization when that is ${value.slice(0, 12)} of the gateway's own`, () =>
      assert.deepEqual(find(form, ['x', 'y'], ['authorization', value]), expected))

  it('is none where nothing is said, and that for the proxy where both are', () => {
    assert.equal(find('relay'), 'none')
    const both = [
      ['authorization', `Bearer ${OWN}`],
      ['proxy-authorization', 'Bearer a'],
    ] as const
    assert.deepEqual(find('relay', ...both), ['a', null])
    assert.deepEqual(find('relay', ...both.toReversed()), ['a', null])
  })
})

describe("a token of the gateway's own", () => {
  for (const [value, expected] of [
    [`Bearer ${OWN}`, true],
    [OWN, true],
    [`Token token="${OWN}"`, true],
    [`Bearer ${OTHER}, ${OWN}`, true],
    [`Basic ${base64(`bot:${OWN}`)}`, true],
    [`basic ${base64(`${OWN}:`)}`, true],
    [`Bearer ${OTHER}`, false],
    [`Basic ${base64(`bot:${OTHER}`)}`, false],
    [`Basic ${base64('bot:password')}`, false],
    ['Bearer opaque', false],
    [OWN.replace('.', ' '), false],
    ['', false],
  ] as const)
    it(`is ${expected ? '' : 'not '}in ${value.slice(0, 24)} of ${value.length}`, () =>
      assert.equal(isOwnAuthorization(value, ISSUER), expected))
})
