import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'
import { createChainTokens } from '../../../../mesh-gateway/src/delegation/chain/chain-tokens.ts'
import type { ChainLink } from '../../../../mesh-gateway/src/delegation/chain/extend-chain.ts'
import { type KeyRing, openKeyRing } from '../../../../mesh-gateway/src/tokens/key-ring.ts'
import { createTokenVerifier } from '../../../../mesh-gateway/src/tokens/verify-token.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const id = (agent: string) => spiffe.agent('acme', agent).id
const issuer = 'https://gateway.mesh.internal'

const failsAs = (code: string) => (error: unknown) =>
  error instanceof MeshError && error.code === code

describe('delegation tokens', () => {
  let dir: string
  let keyRing: KeyRing
  let tokens: ReturnType<typeof createChainTokens>

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-chain-'))
    keyRing = await openKeyRing({ dir: join(dir, 'keys') })
    tokens = createChainTokens({ keyRing, issuer, spiffe })
  })
  after(async () => {
    tokens.close()
    await keyRing.close()
    await rm(dir, { recursive: true })
  })

  const link = (more: Partial<ChainLink> = {}): ChainLink => {
    const seconds = Math.floor(Date.now() / 1000)
    return {
      sub: id('planner'),
      aud: id('writer'),
      act: { sub: id('researcher'), act: { sub: id('planner') } },
      txn: 't-1',
      hop: 2,
      max_hops: 4,
      iat: seconds,
      exp: seconds + 600,
      ...more,
    }
  }

  it('say what was signed, to the one they were signed for', async () => {
    const { token } = await tokens.sign(link({ scope: 'read', allowed_destinations: ['a.com'] }))
    const claims = await tokens.verify(token, id('writer'))
    assert.equal(claims.txn, 't-1')
    assert.equal(claims.scope, 'read')
    assert.deepEqual(claims.allowed_destinations, ['a.com'])
    assert.deepEqual(claims.act, { sub: id('researcher'), act: { sub: id('planner') } })
  })

  it('are never longer than what is taken back', async () => {
    const allowed_destinations = Array.from(
      { length: 200 },
      (_, i) => `host-${i}.of.a.long.example`,
    )
    await assert.rejects(
      tokens.sign(link({ allowed_destinations })),
      failsAs('MESH_TOKEN_REQUEST_INVALID'),
    )
  })

  it('are nobody else’s to present, also when they are remembered', async () => {
    const { token } = await tokens.sign(link())
    await assert.rejects(
      async () => tokens.verify(token, id('thief')),
      failsAs('MESH_TOKEN_AUDIENCE'),
    )
    await tokens.verify(token, id('writer'))
    await assert.rejects(
      async () => tokens.verify(token, id('thief')),
      failsAs('MESH_TOKEN_AUDIENCE'),
    )
  })

  it('verify offline with the published keys', async () => {
    const { token } = await tokens.sign(link())
    const { payload } = await jwtVerify(
      token,
      createLocalJWKSet({ keys: keyRing.jwks().keys.map((key) => ({ ...key })) }),
      { issuer, audience: id('writer'), typ: 'clawmesh-delegation+jwt' },
    )
    assert.equal(payload.sub, id('planner'))
    assert.equal(decodeProtectedHeader(token).alg, 'ES256')
  })

  it('end when they say', async () => {
    const seconds = Math.floor(Date.now() / 1000)
    const { token } = await tokens.sign(link({ iat: seconds - 700, exp: seconds - 100 }))
    await assert.rejects(
      async () => tokens.verify(token, id('writer')),
      failsAs('MESH_TOKEN_EXPIRED'),
    )
  })

  it('are not taken for egress tokens, nor egress tokens for them', async () => {
    const { token } = await tokens.sign(link())
    const egress = createTokenVerifier({ keyRing, issuer, spiffe })
    await assert.rejects(
      async () => egress.verify(token),
      (error) => error instanceof MeshError && /^MESH_TOKEN_(AUDIENCE|MALFORMED)$/.test(error.code),
    )
    egress.close()
    const { kid, privateKey } = keyRing.active()
    assert.ok(privateKey !== null)
    const sign = (typ: string) =>
      new SignJWT({ ...link(), iss: issuer, jti: 'j', nbf: 1 })
        .setProtectedHeader({ alg: 'ES256', kid, typ })
        .sign(privateKey)
    await assert.rejects(
      async () => tokens.verify(await sign('JWT'), id('writer')),
      failsAs('MESH_TOKEN_MALFORMED'),
    )
  })

  it('that are forged, cut, stretched or of a strange shape are refused', async () => {
    const { token } = await tokens.sign(link())
    const [head, , signature] = token.split('.')
    const payload = Buffer.from(JSON.stringify({ ...link(), hop: 1 })).toString('base64url')
    for (const forged of [
      `${head}.${payload}.${signature}`,
      token.slice(0, -4),
      `${token}.x`,
      '',
      'x',
    ])
      await assert.rejects(
        async () => tokens.verify(forged, id('writer')),
        (error) => error instanceof MeshError && error.code.startsWith('MESH_TOKEN_'),
      )
    const { kid, privateKey } = keyRing.active()
    assert.ok(privateKey !== null)
    const shapes: object[] = [
      { act: 'planner' },
      { act: { sub: 'spiffe://other/tenant/a/agent/b' } },
      { hop: 0 },
      { hop: 1.5 },
      { max_hops: '4' },
      { sub: 'spiffe://mesh.internal/gateway/gw' },
      { allowed_destinations: 'a.com' },
      { scope: 7 },
    ]
    for (const shape of shapes) {
      const odd = await new SignJWT({ ...link(), iss: issuer, jti: 'j', ...shape })
        .setProtectedHeader({ alg: 'ES256', kid, typ: 'clawmesh-delegation+jwt' })
        .sign(privateKey)
      await assert.rejects(
        async () => tokens.verify(odd, id('writer')),
        failsAs('MESH_TOKEN_MALFORMED'),
        JSON.stringify(shape),
      )
    }
  })
})
