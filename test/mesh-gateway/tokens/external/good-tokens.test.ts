/** Tokens of other issuers that verify: what becomes of their claims, and under which id they are known. */
import assert from 'node:assert/strict'
import { startTokenIssuer } from '../../../support/token-issuer.ts'
import { describeOutsideTokens, OWN } from './external-world.ts'

describeOutsideTokens('that are good', (world) => {
  const { closing, codeOf, entry, open, ownToken, verify } = world

  it('become claims of our own form, and are remembered for a minute', async () => {
    const token = await world.issuer.token({ jti: 'a.b:c-1' })
    const { grounds, ...claims } = await verify(token)
    assert.equal(grounds.token?.kid, 'one')
    assert.deepEqual(
      { ...claims, jti: claims.jti.slice(8) },
      {
        iss: 'https://issuer.example',
        aud: 'clawmesh-egress',
        sub: 'spiffe://mesh.internal/tenant/acme/agent/bot-01',
        agent_id: 'bot-01',
        tenant: 'acme',
        allowed_destinations: ['api.test'],
        iat: claims.iat,
        nbf: claims.iat,
        exp: claims.iat + 300,
        jti: ':a.b:c-1',
      },
    )
    assert.equal(world.verifier?.verify(token) instanceof Promise, false)
    assert.equal(world.anew, 1)
    world.nowMs += 60_001
    await verify(token)
    assert.equal(world.anew, 2)
    assert.equal(world.issuer.asked(), 1)
  })

  it('are verified with every asymmetric algorithm, and with those that the entry names alone', async () => {
    const all = ['RS256', 'RS512', 'PS256', 'PS384', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
    for (const alg of all) await world.issuer.addKey(alg, alg)
    for (const alg of all)
      assert.equal(
        await codeOf(await world.issuer.token({}, { key: world.issuer.keys.get(alg) })),
        'OK',
        alg,
      )
    await world.verifier?.close()
    await open([entry(world.issuer, { algorithms: ['PS256'] })])
    for (const alg of all)
      assert.equal(
        await codeOf(await world.issuer.token({}, { key: world.issuer.keys.get(alg) })),
        alg === 'PS256' ? 'OK' : 'MESH_TOKEN_ALGORITHM',
        alg,
      )
  })

  it('of Kubernetes name tenant and agent deep within, and policy says where they may go', async () => {
    await open([
      entry(world.issuer, {
        claims: {
          tenant: '/kubernetes.io/namespace',
          agent: '/kubernetes.io/serviceaccount/name',
        },
        destinations: 'policy',
      }),
    ])
    const token = await world.issuer.token({
      ...{ tenant: undefined, agent_id: undefined, allowed_destinations: undefined },
      aud: ['clawmesh-egress'],
      sub: 'system:serviceaccount:acme:bot-01',
      'kubernetes.io': { namespace: 'acme', serviceaccount: { name: 'bot-01', uid: 'x' } },
    })
    const claims = await verify(token)
    assert.equal(claims.sub, 'spiffe://mesh.internal/tenant/acme/agent/bot-01')
    assert.deepEqual(claims.allowed_destinations, ['api.test', '*.example.com', 'mine.test:443'])
  })

  it('may all be of one tenant, and list destinations as OAuth lists scopes', async () => {
    await open([
      entry(world.issuer, {
        tenants: ['acme'],
        fixedTenant: 'acme',
        claims: { agent: 'client_id', destinations: 'https://claims.test/to' },
      }),
    ])
    const claims = await verify(
      await world.issuer.token({
        tenant: 'globex',
        client_id: 'bot-02',
        'https://claims.test/to': 'API.test  *.example.com:8443',
      }),
    )
    assert.equal(claims.sub, 'spiffe://mesh.internal/tenant/acme/agent/bot-02')
    assert.deepEqual(claims.allowed_destinations, ['api.test', '*.example.com:8443'])
  })

  it('are bound to a certificate as our own are', async () => {
    const cnf = { 'x5t#S256': 'A'.repeat(43) }
    assert.deepEqual((await verify(await world.issuer.token({ cnf }))).cnf, cnf)
  })

  it('stand beside our own, by one memory', async () => {
    const [own, other] = [await ownToken(), await world.issuer.token()]
    assert.equal((await verify(own)).iss, OWN)
    assert.equal((await verify(other)).iss, world.issuer.iss)
    for (const token of [own, other])
      assert.equal(world.verifier?.verify(token) instanceof Promise, false)
  })

  it('have an id that can be revoked and is nobody else’s, whatever they say', async () => {
    const second = await startTokenIssuer({ iss: 'https://second.example' })
    closing.push(second.close)
    await second.addKey('one')
    await open([entry(world.issuer), entry(second)])
    const ids = new Set<string>()
    const own = (await verify(await ownToken())).jti
    const odd = [undefined, '', 'x'.repeat(500), 'a b', '../x', 5, { a: 1 }, own, 'same']
    for (const from of [world.issuer, second])
      for (const jti of odd) {
        const claims = await verify(await from.token({ jti, n: String(jti) }))
        assert.match(claims.jti, /^[0-9a-f]{8}:[\w.:-]{1,119}$/)
        ids.add(claims.jti)
      }
    assert.equal(ids.size, 2 * odd.length)
    assert.ok(!ids.has(own))
  })

  it('keep that id when their signature is written in another way', async () => {
    const token = await world.issuer.token({ jti: undefined })
    const [head, body, signature = ''] = token.split('.')
    const bytes = Buffer.from(signature, 'base64url')
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
    const other = order - BigInt(`0x${bytes.subarray(32).toString('hex')}`)
    const rest = Buffer.from(other.toString(16).padStart(64, '0'), 'hex')
    const twin = `${head}.${body}.${Buffer.concat([bytes.subarray(0, 32), rest]).toString('base64url')}`
    assert.notEqual(twin, token)
    assert.equal((await verify(twin)).jti, (await verify(token)).jti)
  })
})
