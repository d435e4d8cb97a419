import assert from 'node:assert/strict'
import { createHmac, createPublicKey, type KeyObject } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createSpiffeTemplate,
  DELEGATION_TOKEN_TYPE,
  EGRESS_TOKEN_TYPE,
  type EgressClaims,
  MeshError,
} from '@clawmesh/proto'
import { SignJWT } from 'jose'
import {
  createTokenIssuer,
  type TokenIssuer,
} from '../../../mesh-gateway/src/tokens/issue-token.ts'
import { type KeyRing, openKeyRing } from '../../../mesh-gateway/src/tokens/key-ring.ts'
import { retireKey, rotateRing } from '../../../mesh-gateway/src/tokens/rotate-keys.ts'
import {
  createTokenVerifier,
  type TokenVerifier,
} from '../../../mesh-gateway/src/tokens/verify-token.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const issuer = 'https://gateway.mesh.internal'
const agent = { tenant: 'acme', agent: 'bot-01' }
const POLICY = ['api.openai.com', '*.example.com', 'db.internal:5432']

describe('egress tokens', () => {
  let dir: string
  let ring: KeyRing
  let tokens: TokenIssuer
  let verifier: TokenVerifier
  let nowMs: number
  let anew: number
  let policy: string[]
  const now = () => nowMs

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-tokens-'))
  })
  beforeEach(async () => {
    nowMs = Date.now()
    anew = 0
    policy = POLICY
    ring = await openKeyRing({ dir, now })
    const ttl = () => ({ ttlMs: 900_000, maxTtlMs: 3_600_000 })
    tokens = createTokenIssuer({
      keyRing: ring,
      issuer,
      spiffe,
      allowedDestinations: () => policy,
      ttl,
      now,
    })
    verifier = createTokenVerifier({
      keyRing: ring,
      issuer,
      spiffe,
      now,
      onVerified: () => {
        anew += 1
      },
    })
  })
  afterEach(async () => {
    verifier.close()
    await ring.close()
  })
  after(() => rm(dir, { recursive: true }))

  const refuses = (work: () => unknown, code: string) =>
    assert.rejects(
      async () => await work(),
      (error) => {
        assert.ok(error instanceof MeshError, String(error))
        assert.equal(error.code, code)
        return true
      },
    )
  const issue = async (more: object = {}) =>
    await tokens.issue({ agent, destinations: null, ...more })
  const claims = async (): Promise<Record<string, unknown>> => ({ ...(await issue()).claims })
  const signingKey = (): KeyObject => {
    const { privateKey } = ring.active()
    assert.ok(privateKey !== null)
    return privateKey
  }
  const sign = (payload: Record<string, unknown>, key: KeyObject = signingKey(), header = {}) =>
    new SignJWT(payload)
      .setProtectedHeader({
        ...{ alg: 'ES256', kid: ring.active().kid, typ: EGRESS_TOKEN_TYPE },
        ...header,
      })
      .sign(key)
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

  describe('when issued', () => {
    it('name the agent, end in 15 minutes, and carry what policy allows', async () => {
      const { token, claims } = await issue()
      assert.equal(claims.sub, 'spiffe://mesh.internal/tenant/acme/agent/bot-01')
      assert.equal(claims.exp - claims.iat, 900)
      assert.deepEqual(claims.allowed_destinations, POLICY)
      const { grounds, ...said } = await verifier.verify(token.reveal())
      assert.deepEqual(said, claims)
      assert.equal(grounds.token?.kid, ring.active().kid)
      assert.ok(!String(token).includes('.'))
    })

    it('carry what was asked for, in canonical form, where policy covers it', async () => {
      const destinations = [
        'API.openai.com:443',
        'a.b.Example.com',
        'db.internal:5432',
        '*.x.example.com:80',
      ]
      const { claims } = await issue({ destinations, ttlMs: 60_000 })
      assert.deepEqual(claims.allowed_destinations, [
        'api.openai.com:443',
        'a.b.example.com',
        'db.internal:5432',
        '*.x.example.com:80',
      ])
      assert.equal(claims.exp - claims.iat, 60)
    })

    it('are refused for what policy does not cover', async () => {
      for (const wanted of [
        'evil.com',
        'example.com',
        'api.openai.com:8443',
        'db.internal',
        '*.com',
        'x.api.openai.com',
        'notexample.com',
      ])
        await refuses(
          () => issue({ destinations: ['api.openai.com', wanted] }),
          'MESH_POLICY_NOT_ALLOWED',
        )
      policy = []
      await refuses(() => issue(), 'MESH_POLICY_NOT_ALLOWED')
    })

    it('can be narrowed to the part that policy covers, and are refused when none is left', async () => {
      const { claims } = await issue({
        destinations: ['*.openai.com', 'a.example.com', 'evil.com'],
        outside: 'drop',
      })
      assert.deepEqual(claims.allowed_destinations, ['api.openai.com', 'a.example.com'])
      await refuses(
        () => issue({ destinations: ['evil.com'], outside: 'drop' }),
        'MESH_POLICY_NOT_ALLOWED',
      )
    })

    it('are refused without destinations, with ones that are none, for too long a time, and for no agent', async () => {
      const invalid = 'MESH_TOKEN_REQUEST_INVALID'
      await refuses(() => issue({ destinations: [] }), invalid)
      for (const wanted of ['*', 'https://api.openai.com', '', 'a b', '10.0.0.0/8', 'x\n'])
        await refuses(() => issue({ destinations: [wanted] }), invalid)
      for (const ttlMs of [3_600_001, 0, -1, Number.NaN, Number.POSITIVE_INFINITY])
        await refuses(() => issue({ ttlMs }), invalid)
      await refuses(() => issue({ agent: { tenant: 'acme', agent: '../x' } }), invalid)
      policy = Array.from({ length: 150 }, (_, i) => `${'a'.repeat(60)}.${i}.example.com`)
      await refuses(() => issue(), invalid)
      policy = Array.from({ length: 201 }, (_, i) => `a${i}.example.com`)
      await refuses(() => issue(), invalid)
    })
  })

  describe('when verified', () => {
    it('are remembered for a minute: then the claims come at once', async () => {
      const { token } = await issue()
      await verifier.verify(token.reveal())
      assert.equal(verifier.verify(token.reveal()) instanceof Promise, false)
      assert.equal(anew, 1)
      nowMs += 60_001
      await verifier.verify(token.reveal())
      assert.equal(anew, 2)
    })

    it('are verified once when many requests bring the same one at once', async () => {
      const token = (await issue()).token.reveal()
      await Promise.all(Array.from({ length: 50 }, () => verifier.verify(token)))
      assert.equal(anew, 1)
    })

    it('are not remembered past their end', async () => {
      const token = (await issue({ ttlMs: 10_000 })).token.reveal()
      await verifier.verify(token)
      nowMs += 20_000
      await verifier.verify(token)
      assert.equal(anew, 2)
      nowMs += 25_000
      await refuses(() => verifier.verify(token), 'MESH_TOKEN_EXPIRED')
    })

    it('are forgotten when keys change: a retired key is refused at once', async () => {
      const token = (await issue()).token.reveal()
      const { kid } = ring.active()
      await verifier.verify(token)
      await rotateRing({ dir, now })
      await ring.reload()
      await verifier.verify(token)
      assert.equal(anew, 2)
      await retireKey({ dir, kid, now })
      await ring.reload()
      await refuses(() => verifier.verify(token), 'MESH_TOKEN_KEY_UNKNOWN')
    })

    it('are bounded in memory', async () => {
      const small = createTokenVerifier({ keyRing: ring, issuer, spiffe, cacheSize: 2, now })
      const [a = '', b = '', c = ''] = await Promise.all(
        [1, 2, 3].map(async () => (await issue()).token.reveal()),
      )
      for (const token of [a, b, c]) await small.verify(token)
      assert.equal(small.verify(a) instanceof Promise, true)
      assert.equal(small.verify(c) instanceof Promise, false)
      small.close()
    })

    it('allow clocks to differ by 30 seconds, not by more', async () => {
      const token = (await issue({ ttlMs: 60_000 })).token.reveal()
      nowMs -= 29_000
      await verifier.verify(token)
      nowMs -= 3_000
      const strict = createTokenVerifier({ keyRing: ring, issuer, spiffe, now })
      await refuses(() => strict.verify(token), 'MESH_TOKEN_NOT_YET_VALID')
      nowMs += 32_000 + 60_000 + 28_000
      await strict.verify(token)
      nowMs += 3_000
      await refuses(() => strict.verify(token), 'MESH_TOKEN_EXPIRED')
      strict.close()
    })
  })

  describe('that are forged are refused, each for its own reason:', () => {
    const cases: Record<string, { code: string; make: () => Promise<string> | string }> = {
      'alg none': {
        code: 'MESH_TOKEN_ALGORITHM',
        make: async () => `${encode({ alg: 'none' })}.${encode(await claims())}.`,
      },
      'HS256 keyed with the public key': {
        code: 'MESH_TOKEN_ALGORITHM',
        make: async () => {
          const pem = createPublicKey(signingKey()).export({
            type: 'spki',
            format: 'pem',
          })
          const text = `${encode({ alg: 'HS256', kid: ring.active().kid })}.${encode(await claims())}`
          return `${text}.${createHmac('sha256', pem).update(text).digest('base64url')}`
        },
      },
      'a key of somebody else under our kid': {
        code: 'MESH_TOKEN_SIGNATURE',
        make: async () => {
          const other = await import('node:crypto')
          const { privateKey } = other.generateKeyPairSync('ec', { namedCurve: 'P-256' })
          return await sign(await claims(), privateKey)
        },
      },
      'an altered claim': {
        code: 'MESH_TOKEN_SIGNATURE',
        make: async () => {
          const [head, , signature] = (await issue()).token.reveal().split('.')
          return `${head}.${encode({ ...(await claims()), tenant: 'globex' })}.${signature}`
        },
      },
      'an unknown kid': {
        code: 'MESH_TOKEN_KEY_UNKNOWN',
        make: async () => await sign(await claims(), undefined, { kid: '__proto__' }),
      },
      'no kid': {
        code: 'MESH_TOKEN_KEY_UNKNOWN',
        make: async () => await sign(await claims(), undefined, { kid: undefined }),
      },
      'a key that the token brings along': {
        code: 'MESH_TOKEN_KEY_UNKNOWN',
        make: async () =>
          await sign(await claims(), undefined, {
            kid: 'x',
            jwk: ring.jwks().keys[0],
            jku: 'https://evil.example/',
          }),
      },
      crit: {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => {
          const header = { alg: 'ES256', kid: ring.active().kid, crit: ['exp'], exp: 1 }
          const [, body, signature] = (await issue()).token.reveal().split('.')
          return `${encode(header)}.${body}.${signature}`
        },
      },
      'another audience': {
        code: 'MESH_TOKEN_AUDIENCE',
        make: async () => await sign({ ...(await claims()), aud: 'clawmesh-delegation' }),
      },
      'several audiences': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign({ ...(await claims()), aud: ['clawmesh-egress', 'x'] }),
      },
      'another issuer': {
        code: 'MESH_TOKEN_ISSUER',
        make: async () => await sign({ ...(await claims()), iss: 'https://evil.example' }),
      },
      'no end': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign({ ...(await claims()), exp: undefined }),
      },
      'an end that is no number': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign({ ...(await claims()), exp: '99999999999' }),
      },
      'a sub of another agent': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign({ ...(await claims()), agent_id: 'bot-02' }),
      },
      'a sub of another trust domain': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () =>
          await sign({ ...(await claims()), sub: 'spiffe://evil/tenant/acme/agent/bot-01' }),
      },
      'destinations that are no list': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign({ ...(await claims()), allowed_destinations: '*' }),
      },
      'no destinations claim': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign({ ...(await claims()), allowed_destinations: undefined }),
      },
      'a binding of a kind that is not known': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign({ ...(await claims()), cnf: { jkt: 'x'.repeat(43) } }),
      },
      'a binding that is no thumbprint': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign({ ...(await claims()), cnf: { 'x5t#S256': '' } }),
      },
      'the type of another token': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign(await claims(), undefined, { typ: DELEGATION_TOKEN_TYPE }),
      },
      'no type of its own, as those of gateways before it': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign(await claims(), undefined, { typ: 'JWT' }),
      },
      'a life of 50 years': {
        code: 'MESH_TOKEN_LIFETIME',
        make: async () => {
          const said = await claims()
          return await sign({ ...said, exp: Number(said.iat) + 50 * 365 * 86_400 })
        },
      },
      'a life that seems short by a time of issue that is to come': {
        code: 'MESH_TOKEN_LIFETIME',
        make: async () => {
          const said = await claims()
          const iat = Number(said.iat) + 50 * 365 * 86_400
          return await sign({ ...said, iat, exp: iat + 900 })
        },
      },
      'a life that is short by the clock alone': {
        code: 'MESH_TOKEN_LIFETIME',
        make: async () => {
          const said = await claims()
          return await sign({ ...said, iat: Number(said.iat) - 86_400, exp: Number(said.iat) + 60 })
        },
      },
      'a certificate that is none': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign({ ...(await claims()), crt: ['a.b.c'] }),
      },
      'an empty list of certificates': {
        code: 'MESH_TOKEN_MALFORMED',
        make: async () => await sign({ ...(await claims()), crt: [] }),
      },
      rubbish: { code: 'MESH_TOKEN_MALFORMED', make: () => 'rubbish' },
      nothing: { code: 'MESH_TOKEN_MALFORMED', make: () => '' },
      dots: { code: 'MESH_TOKEN_MALFORMED', make: () => '..' },
      'a JSON array as header': {
        code: 'MESH_TOKEN_MALFORMED',
        make: () => `${encode([])}.${encode({})}.AA`,
      },
      'ten thousand characters': { code: 'MESH_TOKEN_MALFORMED', make: () => 'a.'.repeat(5000) },
    }
    for (const [name, { code, make }] of Object.entries(cases))
      it(`${name}: ${code}`, async () => {
        const token = await make()
        await refuses(() => verifier.verify(token), code)
        await refuses(() => verifier.verify(token), code)
      })

    it('an empty list of destinations verifies, and allows nothing', async () => {
      const token = await sign({ ...(await claims()), allowed_destinations: [] })
      const verified: EgressClaims = await verifier.verify(token)
      assert.deepEqual(verified.allowed_destinations, [])
    })
  })
})
