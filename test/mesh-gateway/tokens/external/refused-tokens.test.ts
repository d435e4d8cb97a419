/** Tokens of other issuers that do not verify, each for its own reason. */
import assert from 'node:assert/strict'
import { createHmac, createPublicKey, type JsonWebKey } from 'node:crypto'
import { startTokenIssuer } from '../../../support/token-issuer.ts'
import { describeOutsideTokens, encode, OWN } from './external-world.ts'

describeOutsideTokens('are refused, each for its own reason:', (world) => {
  const { closing, codeOf, firstKey, verify } = world

  const second = () => Math.floor(Date.now() / 1000)
  const cases: Record<string, [string, () => Promise<string>]> = {
    'no end': ['MESH_TOKEN_MALFORMED', () => world.issuer.token({ exp: undefined })],
    'an end that is gone': [
      'MESH_TOKEN_EXPIRED',
      () => world.issuer.token({ iat: second() - 400, exp: second() - 31 }),
    ],
    'not valid yet': ['MESH_TOKEN_NOT_YET_VALID', () => world.issuer.token({ nbf: second() + 40 })],
    'too long a life': ['MESH_TOKEN_LIFETIME', () => world.issuer.token({ exp: second() + 3_700 })],
    'too long a life, and no beginning': [
      'MESH_TOKEN_LIFETIME',
      () => world.issuer.token({ iat: undefined, exp: second() + 3_700 }),
    ],
    'a beginning in the future that makes it look short': [
      'MESH_TOKEN_NOT_YET_VALID',
      () => world.issuer.token({ iat: second() + 99_999, exp: second() + 100_000 }),
    ],
    'a beginning that is no number': [
      'MESH_TOKEN_MALFORMED',
      () => world.issuer.token({ iat: '5' }),
    ],
    'a negative beginning': ['MESH_TOKEN_MALFORMED', () => world.issuer.token({ iat: -5 })],
    'a tenant that it was not given': [
      'MESH_TOKEN_TENANT',
      () => world.issuer.token({ tenant: 'initech' }),
    ],
    'a tenant that is no label': [
      'MESH_TOKEN_MALFORMED',
      () => world.issuer.token({ tenant: 'acme/agent/x' }),
    ],
    'no tenant': ['MESH_TOKEN_MALFORMED', () => world.issuer.token({ tenant: undefined })],
    'a list of tenants': ['MESH_TOKEN_MALFORMED', () => world.issuer.token({ tenant: ['acme'] })],
    'no agent': ['MESH_TOKEN_MALFORMED', () => world.issuer.token({ agent_id: undefined })],
    'an agent that is no label': [
      'MESH_TOKEN_MALFORMED',
      () => world.issuer.token({ agent_id: 'Bot 01' }),
    ],
    'no destinations': [
      'MESH_TOKEN_MALFORMED',
      () => world.issuer.token({ allowed_destinations: undefined }),
    ],
    'destinations that are none': [
      'MESH_TOKEN_MALFORMED',
      () => world.issuer.token({ allowed_destinations: ['api.test', '*'] }),
    ],
    'destinations that are no text': [
      'MESH_TOKEN_MALFORMED',
      () => world.issuer.token({ allowed_destinations: [{ host: 'api.test' }] }),
    ],
    'destinations without number': [
      'MESH_TOKEN_MALFORMED',
      () => world.issuer.token({ allowed_destinations: 'a.test '.repeat(201) }),
    ],
    'another audience': [
      'MESH_TOKEN_AUDIENCE',
      () => world.issuer.token({ aud: ['clawmesh-delegation'] }),
    ],
    'no audience': ['MESH_TOKEN_MALFORMED', () => world.issuer.token({ aud: undefined })],
    'a chain of delegation': [
      'MESH_TOKEN_MALFORMED',
      () => world.issuer.token({ act: { sub: 'spiffe://mesh.internal/tenant/acme/agent/boss' } }),
    ],
    'a root of one': ['MESH_TOKEN_MALFORMED', () => world.issuer.token({ txn: 'x' })],
    'who may act': ['MESH_TOKEN_MALFORMED', () => world.issuer.token({ may_act: { sub: 'x' } })],
    'a chain that is null': ['MESH_TOKEN_MALFORMED', () => world.issuer.token({ act: null })],
    'a binding of another kind': [
      'MESH_TOKEN_MALFORMED',
      () => world.issuer.token({ cnf: { jkt: 'A'.repeat(43) } }),
    ],
    'a key of somebody else under its kid': [
      'MESH_TOKEN_SIGNATURE',
      async () => {
        const other = await startTokenIssuer()
        closing.push(other.close)
        return await world.issuer.token({}, { key: await other.addKey('one') })
      },
    ],
    'an altered claim': [
      'MESH_TOKEN_SIGNATURE',
      async () => {
        const [head, , signature] = (await world.issuer.token()).split('.')
        return `${head}.${encode(world.issuer.claims({ agent_id: 'bot-02' }))}.${signature}`
      },
    ],
    'the issuer of somebody else': [
      'MESH_TOKEN_KEY_UNKNOWN',
      () => world.issuer.token({ iss: OWN }),
    ],
    'an issuer that nobody trusts': [
      'MESH_TOKEN_ISSUER',
      () => world.issuer.token({ iss: 'https://evil.example' }),
    ],
    'alg none': [
      'MESH_TOKEN_ALGORITHM',
      async () => `${encode({ alg: 'none' })}.${encode(world.issuer.claims())}.`,
    ],
    'HS256 keyed with the public key': [
      'MESH_TOKEN_ALGORITHM',
      async () => {
        const key: JsonWebKey = { ...firstKey().jwk }
        const pem = createPublicKey({ key, format: 'jwk' }).export({
          type: 'spki',
          format: 'pem',
        })
        const text = `${encode({ alg: 'HS256', kid: 'one' })}.${encode(world.issuer.claims())}`
        return `${text}.${createHmac('sha256', pem).update(text).digest('base64url')}`
      },
    ],
    'a key that the token brings along': [
      'MESH_TOKEN_KEY_UNKNOWN',
      () =>
        world.issuer.token(
          {},
          { kid: 'x', header: { jwk: firstKey().jwk, jku: world.issuer.jwksUri } },
        ),
    ],
    'an algorithm that its key is not for': [
      'MESH_TOKEN_SIGNATURE',
      async () => {
        const key = await world.issuer.addKey('rsa', 'RS256')
        const [head, body, signature] = (await world.issuer.token({}, { key })).split('.')
        assert.ok(head !== undefined)
        key.jwk = { ...key.jwk, alg: 'PS256' }
        return `${encode({ alg: 'PS256', kid: 'rsa' })}.${body}.${signature}`
      },
    ],
    crit: [
      'MESH_TOKEN_MALFORMED',
      async () => {
        const [, body, signature] = (await world.issuer.token()).split('.')
        return `${encode({ alg: 'ES256', kid: 'one', crit: ['x'], x: 1 })}.${body}.${signature}`
      },
    ],
    'crit of a kind that jose knows': [
      'MESH_TOKEN_MALFORMED',
      async () => {
        const [, body, signature] = (await world.issuer.token()).split('.')
        return `${encode({ alg: 'ES256', kid: 'one', crit: ['b64'], b64: true })}.${body}.${signature}`
      },
    ],
    'no kid, and several keys that fit': [
      'MESH_TOKEN_KEY_UNKNOWN',
      async () => {
        await world.issuer.addKey('two')
        return await world.issuer.token({}, { kid: undefined })
      },
    ],
    'a kid that two keys have': [
      'MESH_TOKEN_KEY_UNKNOWN',
      async () => {
        const key = await world.issuer.addKey('two')
        key.jwk = { ...key.jwk, kid: 'one' }
        return await world.issuer.token({}, { key })
      },
    ],
    'a kid that is no text': [
      'MESH_TOKEN_KEY_UNKNOWN',
      async () => {
        const [, body, signature] = (await world.issuer.token()).split('.')
        return `${encode({ alg: 'ES256', kid: 5 })}.${body}.${signature}`
      },
    ],
  }
  for (const [what, [code, make]] of Object.entries(cases))
    it(`${what}: ${code}`, async () => {
      assert.equal(await codeOf(await make()), code)
    })

  it('an empty list of destinations verifies, and allows nothing', async () => {
    for (const allowed_destinations of [[], ''])
      assert.deepEqual(
        (await verify(await world.issuer.token({ allowed_destinations }))).allowed_destinations,
        [],
      )
  })

  it('clocks may differ by 30 seconds', async () => {
    const token = await world.issuer.token({ iat: second() + 25, nbf: second() + 25 })
    assert.equal(await codeOf(token), 'OK')
    world.nowMs += 329_000
    assert.equal(await codeOf(token), 'OK')
    world.nowMs += 3_000
    assert.equal(await codeOf(token), 'MESH_TOKEN_EXPIRED')
    await assert.rejects(async () => await verify(token), {
      message: /^the token expired \d+ seconds? ago$/,
      hint: /^get a fresh one of its issuer/,
    })
  })
})
