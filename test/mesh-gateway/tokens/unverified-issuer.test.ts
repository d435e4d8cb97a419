import assert from 'node:assert/strict'
import { unverifiedIssuer } from '../../../mesh-gateway/src/tokens/unverified-issuer.ts'

describe('the issuer that a token claims', () => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

  it('is read of a token of three parts, and of nothing else', () => {
    const payload = encode({ iss: 'x' })
    assert.equal(unverifiedIssuer(`a.${payload}.c`), 'x')
    assert.equal(unverifiedIssuer(`.${payload}.`), 'x')
    for (const text of ['', 'a', payload, `a.${payload}`, `a.${payload}.c.d`, `a.${payload}.c.`])
      assert.equal(unverifiedIssuer(text), null, text)
    for (const odd of [null, 5, 'x', [], {}, { iss: 5 }, { iss: null }, { issuer: 'x' }])
      assert.equal(unverifiedIssuer(`a.${encode(odd)}.c`), null, JSON.stringify(odd))
    for (const text of ['a.b.c', 'a..c', 'a.%.c']) assert.equal(unverifiedIssuer(text), null, text)
    const inherited = Buffer.from('{"__proto__":{"iss":"x"}}').toString('base64url')
    assert.equal(unverifiedIssuer(`a.${inherited}.c`), null)
  })
})
