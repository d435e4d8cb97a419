/** Tokens of other issuers, with real JWKS servers: good ones, slow, dead and hostile ones. */
import assert from 'node:assert/strict'
import { createHmac, createPublicKey, type JsonWebKey } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext, rootCertificates } from 'node:tls'
import { createSpiffeTemplate, type EgressClaims, MeshError } from '@clawmesh/proto'
import { createLocalJWKSet } from 'jose'
import { resolveConfig } from '../../../../mesh-gateway/src/config/resolve-config.ts'
import type { Config } from '../../../../mesh-gateway/src/config/schema.ts'
import { createResolver } from '../../../../mesh-gateway/src/resolve/create-resolver.ts'
import { createTokenIssuer } from '../../../../mesh-gateway/src/tokens/issue-token.ts'
import { type KeyRing, openKeyRing } from '../../../../mesh-gateway/src/tokens/key-ring.ts'
import {
  type OpenTokenVerifier,
  openTokenVerifier,
} from '../../../../mesh-gateway/src/tokens/open-token-verifier.ts'
import { createOutsideSource } from '../../../../mesh-gateway/src/tokens/outside/outside-source.ts'
import { describeClosing } from '../../../support/closes-everything.ts'
import { closeServer, listenOnFreePort } from '../../../support/http-origin.ts'
import { makeTestCa, type TestCa } from '../../../support/test-ca.ts'
import { startTokenIssuer, type TokenIssuer } from '../../../support/token-issuer.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { policyOf } from '../../policy/policies.ts'

const OWN = 'https://gateway.mesh.internal'
const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const HOST = 'planner.acme.mesh.internal'

describeClosing('tokens of other issuers', () => {
  let dir: string
  let ring: KeyRing
  let ca: TestCa
  let roots: string
  let issuer: TokenIssuer
  let nowMs: number
  let anew: number
  let verifier: OpenTokenVerifier | null
  let config: Config | null
  let fetched: [string, boolean][]
  const closing: (() => Promise<void> | void)[] = []
  const resolver = createResolver()

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-outside-'))
    ring = await openKeyRing({ dir })
    ca = await makeTestCa()
    roots = ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' }).roots
  })
  beforeEach(async () => {
    nowMs = Date.now()
    anew = 0
    verifier = null
    config = null
    fetched = []
    issuer = await startTokenIssuer()
    closing.push(issuer.close)
    await issuer.addKey('one')
  })
  afterEach(async () => {
    await verifier?.close()
    for (const close of closing.splice(0).reverse()) await close()
  })
  after(async () => {
    resolver.close()
    await ring.close()
    await ca.close()
    await rm(dir, { recursive: true })
  })

  const policy = policyOf({
    acme: {
      egress: {
        allow: ['api.test', '*.example.com'],
        deny: ['gist.example.com'],
        agents: { 'bot-01': { allow: ['mine.test:443', 'other.test:8443'] } },
      },
    },
  })
  const entry = (of: TokenIssuer, more: object = {}) => ({
    issuer: of.iss,
    jwksUri: of.jwksUri,
    tenants: ['acme', 'globex'],
    ...more,
  })
  /** As the configuration makes them, so that its defaults count. */
  const open = async (entries: readonly object[] = [entry(issuer)], fetchMs = 5000) => {
    config = resolveConfig({
      file: {
        path: 'gateway.json',
        bytes: Buffer.from(
          JSON.stringify({
            trustDomain: 'mesh.internal',
            ...{ identity: { dir: 'i' }, policy: { dir: 'p' }, keys: { dir: 'k' } },
            tokens: { issuers: entries },
          }),
        ),
      },
      env: {},
      flags: {},
      cwd: dir,
    }).config
    verifier = await openTokenVerifier({
      ...{ keyRing: ring, issuer: OWN, spiffe, issuers: config.tokens.issuers, fetchMs },
      policy: { current: () => policy },
      resolver: {
        addresses: (host) =>
          host === HOST
            ? Promise.resolve([{ ip: '127.0.0.1', ttlMs: 1000 }])
            : host === 'localhost'
              ? Promise.resolve([{ ip: '127.0.0.9', ttlMs: 1000 }])
              : host === 'never.test'
                ? new Promise(() => {})
                : resolver.addresses(host),
      },
      trust: () => createSecureContext({ ca: roots }),
      maxTtlMs: () => 3_600_000,
      metrics: { issuerKeys: (name, ok) => fetched.push([name, ok]) },
      onVerified: () => {
        anew += 1
      },
      now: () => nowMs,
    })
    return verifier
  }
  const verify = async (token: string): Promise<EgressClaims> => {
    verifier ??= await open()
    return await verifier.verify(token)
  }
  const codeOf = async (token: string): Promise<string> => {
    try {
      await verify(token)
      return 'OK'
    } catch (error) {
      assert.ok(error instanceof MeshError, String(error))
      return error.code
    }
  }
  const ownToken = async () => {
    const tokens = createTokenIssuer({
      ...{ keyRing: ring, issuer: OWN, spiffe },
      allowedDestinations: () => ['api.test'],
      ttl: () => ({ ttlMs: 900_000, maxTtlMs: 3_600_000 }),
    })
    const agent = { tenant: 'acme', agent: 'bot-01' }
    return (await tokens.issue({ agent, destinations: null })).token.reveal()
  }
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const firstKey = () => issuer.keys.get('one') ?? assert.fail('no key')

  describe('that are good', () => {
    it('become claims of our own form, and are remembered for a minute', async () => {
      const token = await issuer.token({ jti: 'a.b:c-1' })
      const claims = await verify(token)
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
      assert.equal(verifier?.verify(token) instanceof Promise, false)
      assert.equal(anew, 1)
      nowMs += 60_001
      await verify(token)
      assert.equal(anew, 2)
      assert.equal(issuer.asked(), 1)
    })

    it('are verified with every asymmetric algorithm, and with those that the entry names alone', async () => {
      const all = [
        'RS256',
        'RS512',
        'PS256',
        'PS384',
        'ES256',
        'ES384',
        'ES512',
        'EdDSA',
        'Ed25519',
      ]
      for (const alg of all) await issuer.addKey(alg, alg)
      for (const alg of all)
        assert.equal(await codeOf(await issuer.token({}, { key: issuer.keys.get(alg) })), 'OK', alg)
      await verifier?.close()
      await open([entry(issuer, { algorithms: ['PS256'] })])
      for (const alg of all)
        assert.equal(
          await codeOf(await issuer.token({}, { key: issuer.keys.get(alg) })),
          alg === 'PS256' ? 'OK' : 'MESH_TOKEN_ALGORITHM',
          alg,
        )
    })

    it('of Kubernetes name tenant and agent deep within, and policy says where they may go', async () => {
      await open([
        entry(issuer, {
          claims: {
            tenant: '/kubernetes.io/namespace',
            agent: '/kubernetes.io/serviceaccount/name',
          },
          destinations: 'policy',
        }),
      ])
      const token = await issuer.token({
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
        entry(issuer, {
          tenants: ['acme'],
          fixedTenant: 'acme',
          claims: { agent: 'client_id', destinations: 'https://claims.test/to' },
        }),
      ])
      const claims = await verify(
        await issuer.token({
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
      assert.deepEqual((await verify(await issuer.token({ cnf }))).cnf, cnf)
    })

    it('stand beside our own, by one memory', async () => {
      const [own, other] = [await ownToken(), await issuer.token()]
      assert.equal((await verify(own)).iss, OWN)
      assert.equal((await verify(other)).iss, issuer.iss)
      for (const token of [own, other])
        assert.equal(verifier?.verify(token) instanceof Promise, false)
    })

    it('have an id that can be revoked and is nobody else’s, whatever they say', async () => {
      const second = await startTokenIssuer({ iss: 'https://second.example' })
      closing.push(second.close)
      await second.addKey('one')
      await open([entry(issuer), entry(second)])
      const ids = new Set<string>()
      const own = (await verify(await ownToken())).jti
      const odd = [undefined, '', 'x'.repeat(500), 'a b', '../x', 5, { a: 1 }, own, 'same']
      for (const from of [issuer, second])
        for (const jti of odd) {
          const claims = await verify(await from.token({ jti, n: String(jti) }))
          assert.match(claims.jti, /^[0-9a-f]{8}:[\w.:-]{1,119}$/)
          ids.add(claims.jti)
        }
      assert.equal(ids.size, 2 * odd.length)
      assert.ok(!ids.has(own))
    })

    it('keep that id when their signature is written in another way', async () => {
      const token = await issuer.token({ jti: undefined })
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

  describe('are refused, each for its own reason:', () => {
    const second = () => Math.floor(Date.now() / 1000)
    const cases: Record<string, [string, () => Promise<string>]> = {
      'no end': ['MESH_TOKEN_MALFORMED', () => issuer.token({ exp: undefined })],
      'an end that is gone': [
        'MESH_TOKEN_EXPIRED',
        () => issuer.token({ iat: second() - 400, exp: second() - 31 }),
      ],
      'not valid yet': ['MESH_TOKEN_NOT_YET_VALID', () => issuer.token({ nbf: second() + 40 })],
      'too long a life': ['MESH_TOKEN_LIFETIME', () => issuer.token({ exp: second() + 3_700 })],
      'too long a life, and no beginning': [
        'MESH_TOKEN_LIFETIME',
        () => issuer.token({ iat: undefined, exp: second() + 3_700 }),
      ],
      'a beginning in the future that makes it look short': [
        'MESH_TOKEN_NOT_YET_VALID',
        () => issuer.token({ iat: second() + 99_999, exp: second() + 100_000 }),
      ],
      'a beginning that is no number': ['MESH_TOKEN_MALFORMED', () => issuer.token({ iat: '5' })],
      'a negative beginning': ['MESH_TOKEN_MALFORMED', () => issuer.token({ iat: -5 })],
      'a tenant that it was not given': [
        'MESH_TOKEN_TENANT',
        () => issuer.token({ tenant: 'initech' }),
      ],
      'a tenant that is no label': [
        'MESH_TOKEN_MALFORMED',
        () => issuer.token({ tenant: 'acme/agent/x' }),
      ],
      'no tenant': ['MESH_TOKEN_MALFORMED', () => issuer.token({ tenant: undefined })],
      'a list of tenants': ['MESH_TOKEN_MALFORMED', () => issuer.token({ tenant: ['acme'] })],
      'no agent': ['MESH_TOKEN_MALFORMED', () => issuer.token({ agent_id: undefined })],
      'an agent that is no label': [
        'MESH_TOKEN_MALFORMED',
        () => issuer.token({ agent_id: 'Bot 01' }),
      ],
      'no destinations': [
        'MESH_TOKEN_MALFORMED',
        () => issuer.token({ allowed_destinations: undefined }),
      ],
      'destinations that are none': [
        'MESH_TOKEN_MALFORMED',
        () => issuer.token({ allowed_destinations: ['api.test', '*'] }),
      ],
      'destinations that are no text': [
        'MESH_TOKEN_MALFORMED',
        () => issuer.token({ allowed_destinations: [{ host: 'api.test' }] }),
      ],
      'destinations without number': [
        'MESH_TOKEN_MALFORMED',
        () => issuer.token({ allowed_destinations: 'a.test '.repeat(201) }),
      ],
      'another audience': [
        'MESH_TOKEN_AUDIENCE',
        () => issuer.token({ aud: ['clawmesh-delegation'] }),
      ],
      'no audience': ['MESH_TOKEN_MALFORMED', () => issuer.token({ aud: undefined })],
      'a chain of delegation': [
        'MESH_TOKEN_MALFORMED',
        () => issuer.token({ act: { sub: 'spiffe://mesh.internal/tenant/acme/agent/boss' } }),
      ],
      'a root of one': ['MESH_TOKEN_MALFORMED', () => issuer.token({ txn: 'x' })],
      'who may act': ['MESH_TOKEN_MALFORMED', () => issuer.token({ may_act: { sub: 'x' } })],
      'a chain that is null': ['MESH_TOKEN_MALFORMED', () => issuer.token({ act: null })],
      'a binding of another kind': [
        'MESH_TOKEN_MALFORMED',
        () => issuer.token({ cnf: { jkt: 'A'.repeat(43) } }),
      ],
      'a key of somebody else under its kid': [
        'MESH_TOKEN_SIGNATURE',
        async () => {
          const other = await startTokenIssuer()
          closing.push(other.close)
          return await issuer.token({}, { key: await other.addKey('one') })
        },
      ],
      'an altered claim': [
        'MESH_TOKEN_SIGNATURE',
        async () => {
          const [head, , signature] = (await issuer.token()).split('.')
          return `${head}.${encode(issuer.claims({ agent_id: 'bot-02' }))}.${signature}`
        },
      ],
      'the issuer of somebody else': ['MESH_TOKEN_KEY_UNKNOWN', () => issuer.token({ iss: OWN })],
      'an issuer that nobody trusts': [
        'MESH_TOKEN_ISSUER',
        () => issuer.token({ iss: 'https://evil.example' }),
      ],
      'alg none': [
        'MESH_TOKEN_ALGORITHM',
        async () => `${encode({ alg: 'none' })}.${encode(issuer.claims())}.`,
      ],
      'HS256 keyed with the public key': [
        'MESH_TOKEN_ALGORITHM',
        async () => {
          const key: JsonWebKey = { ...firstKey().jwk }
          const pem = createPublicKey({ key, format: 'jwk' }).export({
            type: 'spki',
            format: 'pem',
          })
          const text = `${encode({ alg: 'HS256', kid: 'one' })}.${encode(issuer.claims())}`
          return `${text}.${createHmac('sha256', pem).update(text).digest('base64url')}`
        },
      ],
      'a key that the token brings along': [
        'MESH_TOKEN_KEY_UNKNOWN',
        () => issuer.token({}, { kid: 'x', header: { jwk: firstKey().jwk, jku: issuer.jwksUri } }),
      ],
      'an algorithm that its key is not for': [
        'MESH_TOKEN_SIGNATURE',
        async () => {
          const key = await issuer.addKey('rsa', 'RS256')
          const [head, body, signature] = (await issuer.token({}, { key })).split('.')
          assert.ok(head !== undefined)
          key.jwk = { ...key.jwk, alg: 'PS256' }
          return `${encode({ alg: 'PS256', kid: 'rsa' })}.${body}.${signature}`
        },
      ],
      crit: [
        'MESH_TOKEN_MALFORMED',
        async () => {
          const [, body, signature] = (await issuer.token()).split('.')
          return `${encode({ alg: 'ES256', kid: 'one', crit: ['x'], x: 1 })}.${body}.${signature}`
        },
      ],
      'crit of a kind that jose knows': [
        'MESH_TOKEN_MALFORMED',
        async () => {
          const [, body, signature] = (await issuer.token()).split('.')
          return `${encode({ alg: 'ES256', kid: 'one', crit: ['b64'], b64: true })}.${body}.${signature}`
        },
      ],
      'no kid, and several keys that fit': [
        'MESH_TOKEN_KEY_UNKNOWN',
        async () => {
          await issuer.addKey('two')
          return await issuer.token({}, { kid: undefined })
        },
      ],
      'a kid that two keys have': [
        'MESH_TOKEN_KEY_UNKNOWN',
        async () => {
          const key = await issuer.addKey('two')
          key.jwk = { ...key.jwk, kid: 'one' }
          return await issuer.token({}, { key })
        },
      ],
      'a kid that is no text': [
        'MESH_TOKEN_KEY_UNKNOWN',
        async () => {
          const [, body, signature] = (await issuer.token()).split('.')
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
          (await verify(await issuer.token({ allowed_destinations }))).allowed_destinations,
          [],
        )
    })

    it('clocks may differ by 30 seconds', async () => {
      const token = await issuer.token({ iat: second() + 25, nbf: second() + 25 })
      assert.equal(await codeOf(token), 'OK')
      nowMs += 329_000
      assert.equal(await codeOf(token), 'OK')
      nowMs += 3_000
      assert.equal(await codeOf(token), 'MESH_TOKEN_EXPIRED')
      await assert.rejects(async () => await verify(token), {
        message: /^the token expired \d+ s ago$/,
        hint: /^get a fresh one of its issuer/,
      })
    })
  })

  describe('when keys change at the issuer', () => {
    it('a new key is seen at its first token, an old one verifies no longer once the set is fetched anew', async () => {
      const old = firstKey()
      const token = await issuer.token()
      await verify(token)
      issuer.keys.clear()
      const key = await issuer.addKey('two')
      nowMs += 30_000
      assert.equal(verifier?.verify(token) instanceof Promise, false, 'remembered')
      assert.equal(await codeOf(await issuer.token({}, { key })), 'OK')
      assert.equal(await codeOf(token), 'MESH_TOKEN_KEY_UNKNOWN')
      assert.equal(await codeOf(await issuer.token({}, { key: old })), 'MESH_TOKEN_KEY_UNKNOWN')
      assert.equal(issuer.asked(), 2)
    })

    it('a key that was taken back verifies for five minutes at most, remembered or not', async () => {
      const token = await issuer.token({ exp: Math.floor(nowMs / 1000) + 3000 })
      await verify(token)
      issuer.keys.clear()
      await issuer.addKey('two')
      nowMs += 299_000
      assert.equal(await codeOf(token), 'OK')
      await waitFor('the set to be fetched ahead of its time', () => issuer.asked() === 2)
      await waitFor('it to be taken', async () => (await codeOf(token)) !== 'OK')
      assert.equal(await codeOf(token), 'MESH_TOKEN_KEY_UNKNOWN')
    })

    it('and nobody asked for long, they are fetched before a token is believed', async () => {
      const token = await issuer.token({ exp: Math.floor(nowMs / 1000) + 3000 })
      await verify(token)
      issuer.keys.clear()
      await issuer.addKey('two')
      nowMs += 300_000
      assert.equal(await codeOf(token), 'MESH_TOKEN_KEY_UNKNOWN')
    })

    it('ten thousand strange kids cause one fetch in 30 seconds, and good tokens go on', async () => {
      await verify(await issuer.token())
      const [head = '', body = '', signature = ''] = (await issuer.token()).split('.')
      assert.ok(head.length > 0)
      const flood = async () => {
        for (let i = 0; i < 5_000; i += 1)
          assert.equal(
            await codeOf(`${encode({ alg: 'ES256', kid: `kid-${i}` })}.${body}.${signature}`),
            'MESH_TOKEN_KEY_UNKNOWN',
          )
      }
      await flood()
      assert.equal(issuer.asked(), 1)
      nowMs += 30_000
      await flood()
      assert.equal(issuer.asked(), 2)
      assert.equal(await codeOf(await issuer.token()), 'OK')
    })
  })

  describe('whose issuer', () => {
    /** Accepts, and says nothing. */
    const startSilent = async () => {
      const sockets = new Set<Socket>()
      const server = createServer((socket) => {
        sockets.add(socket.on('error', () => {}).resume())
      })
      const port = await listenOnFreePort(server)
      const closed = once(server, 'close')
      closing.push(async () => {
        for (const socket of sockets) socket.destroy()
        if (server.listening) server.close()
        await closed
      })
      return { port, sockets, server, closed }
    }

    it('never answers hold up nobody else, and are refused in time', async () => {
      const { port, sockets } = await startSilent()
      const slow = await startTokenIssuer({ iss: 'https://slow.example' })
      closing.push(slow.close)
      await slow.addKey('one')
      const entries = [{ ...entry(slow), jwksUri: `http://127.0.0.1:${port}/keys` }, entry(issuer)]
      // as long as it takes: that the others do not wait for it is no question of time
      await open(entries, 600_000)
      const token = await slow.token()
      let done = false
      const waits = codeOf(token).finally(() => {
        done = true
      })
      assert.equal(await codeOf(await issuer.token()), 'OK')
      assert.equal(await codeOf(await ownToken()), 'OK')
      assert.equal(done, false)
      await verifier?.close()
      assert.equal(await waits, 'MESH_TOKEN_ISSUER_UNAVAILABLE')
      await open(entries, 300)
      assert.equal(await codeOf(token), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
      // and is not asked again for each token
      assert.equal(await codeOf(token), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
      assert.equal(sockets.size, 2)
    })

    it('drips its answer are refused in time', async () => {
      issuer.serve((_, response) => {
        response.writeHead(200)
        const drip = setInterval(() => response.write(' '), 20)
        response.on('close', () => clearInterval(drip))
      })
      await open([entry(issuer)], 300)
      assert.equal(await codeOf(await issuer.token()), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
    })

    it('is away at the start are refused, and taken once it is there', async () => {
      const { jwksUri } = issuer
      const token = await issuer.token()
      await issuer.close()
      await open([{ ...entry(issuer), jwksUri }])
      await assert.rejects(
        async () => await verify(token),
        (error) => {
          assert.ok(error instanceof MeshError && error.row.retryable)
          assert.ok((error.retryAfterMs ?? 0) > 0 && (error.retryAfterMs ?? 0) <= 30_000)
          return true
        },
      )
      assert.deepEqual(fetched, [[issuer.iss, false]])
      const again = await startTokenIssuer()
      closing.push(again.close)
      await verifier?.close()
      again.keys.set('one', firstKey())
      await open([{ ...entry(again) }])
      assert.equal(await codeOf(token), 'OK')
    })

    const hostile: Record<string, (issuer: TokenIssuer) => void> = {
      'answers 500': (of) => of.serve((_, response) => response.writeHead(500).end('{}')),
      'answers 500 without end': (of) =>
        of.serve((_, response) => {
          response.on('error', () => {})
          response.writeHead(500).write(Buffer.alloc(300_000, 32))
        }),
      'answers with another status': (of) => {
        const body = JSON.stringify({ keys: [firstKey().jwk] })
        const statuses = [201, 302, 404]
        of.serve((_, response) => response.writeHead(statuses.shift() ?? 203).end(body))
      },
      'answers rubbish': (of) => of.serve((_, response) => response.end('<html>')),
      'answers no keys': (of) => of.serve((_, response) => response.end('{"keys":[]}')),
      'answers keys of another shape': (of) =>
        of.serve((_, response) => response.end('{"keys":{"length":1}}')),
      'answers without end': (of) =>
        of.serve((_, response) => {
          response.on('error', () => {})
          const fill = () => {
            while (response.writable && response.write(Buffer.alloc(65_536, 32)));
          }
          response.on('drain', fill)
          fill()
        }),
      'answers headers without end': (of) =>
        of.serve((_, response) => response.writeHead(200, { x: 'y'.repeat(100_000) }).end()),
      'answers what is not HTTP': (of) =>
        of.serve((_, response) => void response.socket?.end('SSH-2.0-x\r\n')),
      resets: (of) => of.serve((_, response) => void response.socket?.resetAndDestroy()),
      'cuts its answer short': (of) =>
        of.serve((_, response) => {
          response.writeHead(200, { 'content-length': '5000' }).write('{"keys":[')
          setImmediate(() => response.socket?.destroy())
        }),
    }
    for (const [what, misbehave] of Object.entries(hostile))
      it(`${what} keeps its last good keys for an hour`, async () => {
        const token = await issuer.token({ exp: Math.floor(nowMs / 1000) + 3599 })
        assert.equal(await codeOf(token), 'OK')
        misbehave(issuer)
        for (const minutes of [5, 20, 34]) {
          nowMs += minutes * 60_000
          const before = fetched.length
          assert.equal(await codeOf(token), 'OK', `after ${minutes} more minutes`)
          await waitFor('the attempt', () => fetched.length > before)
        }
        assert.deepEqual(
          fetched.map(([, ok]) => ok),
          [true, false, false, false],
        )
        nowMs += 59_000
        const late = await issuer.token({
          iat: Math.floor(nowMs / 1000),
          exp: Math.floor(nowMs / 1000) + 60,
        })
        assert.equal(await codeOf(late), 'OK')
        nowMs += 1_000
        assert.equal(await codeOf(late), 'MESH_TOKEN_ISSUER_UNAVAILABLE', 'though remembered')
        nowMs += 30_000
        assert.equal(await codeOf(late), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
        issuer.serve(null)
        nowMs += 30_000
        assert.equal(await codeOf(late), 'OK')
      })

    it('accepts and says nothing over TLS, or has a name that DNS never answers, is refused in time', async () => {
      const { port, sockets, server, closed } = await startSilent()
      const token = await issuer.token()
      for (const host of [`${HOST}:${port}`, 'never.test']) {
        await open([{ ...entry(issuer), jwksUri: `https://${host}/keys` }], 200)
        assert.equal(await codeOf(token), 'MESH_TOKEN_ISSUER_UNAVAILABLE', host)
        await verifier?.close()
      }
      assert.equal(sockets.size, 1)
      server.close()
      // the gateway has let go of it
      await closed
    })

    it('without TLS is on this machine, whatever DNS says of localhost', async () => {
      const { port } = new URL(issuer.jwksUri)
      // hostile, and on the address that DNS answers with; its port is the same
      const hostile = await startTokenIssuer()
      await hostile.addKey('one')
      const liar = createHttpServer((_, response) =>
        response.end(JSON.stringify({ keys: [hostile.keys.get('one')?.jwk] })),
      )
      liar.listen(Number(port), '127.0.0.9')
      await once(liar, 'listening')
      closing.push(hostile.close, async () => {
        liar.close()
        await once(liar, 'close')
      })
      await open([{ ...entry(issuer), jwksUri: `http://localhost:${port}/keys` }])
      const forged = await hostile.token({ iss: issuer.iss })
      assert.equal(await codeOf(forged), 'MESH_TOKEN_SIGNATURE')
      assert.equal(await codeOf(await issuer.token()), 'OK')
    })

    it('may need 256 KiB for its keys, and no more', async () => {
      const body = JSON.stringify({ keys: [firstKey().jwk] })
      for (const [size, code] of [
        [262_144, 'OK'],
        [262_145, 'MESH_TOKEN_ISSUER_UNAVAILABLE'],
      ] as const) {
        issuer.serve((_, response) => response.end(body.padEnd(size, ' ')))
        await open()
        assert.equal(await codeOf(await issuer.token()), code)
        await verifier?.close()
      }
    })

    it('is picked to verify looks at iss itself', async () => {
      const outside = await open()
      assert.equal(await codeOf(await issuer.token()), 'OK')
      await outside.close()
      // one set of keys for two issuers, as some providers have for all their customers
      const neighbour = await startTokenIssuer({ iss: 'https://neighbour.example' })
      closing.push(neighbour.close)
      neighbour.keys.set('one', firstKey())
      await open([entry(issuer), { ...entry(neighbour), tenants: ['globex'] }])
      assert.equal(await codeOf(await neighbour.token()), 'MESH_TOKEN_TENANT')
      const source = createOutsideSource({
        issuer: { ...(config?.tokens.issuers[0] ?? assert.fail()) },
        keys: {
          current: async () => ({
            find: createLocalJWKSet({ keys: [firstKey().jwk] }),
            digest: '',
          }),
          otherThan: async () => null,
          untilMs: () => 0,
          onChange: () => () => {},
        },
        mapClaims: () => assert.fail('it was verified'),
        skewMs: 0,
        now: Date.now,
      })
      await assert.rejects(
        source.verify(await neighbour.token()),
        (error) => error instanceof MeshError && error.code === 'MESH_TOKEN_ISSUER',
      )
    })

    it('is asked once at the start, before any token comes, and let go of at the end', async () => {
      const asked = Promise.withResolvers<void>()
      const gone = Promise.withResolvers<void>()
      issuer.serve((_, response) => {
        response.on('close', gone.resolve)
        asked.resolve()
      })
      const opened = await open([entry(issuer)], 600_000)
      await asked.promise
      const waiting = codeOf(await issuer.token())
      await opened.close()
      await gone.promise
      assert.equal(await waiting, 'MESH_TOKEN_ISSUER_UNAVAILABLE')
    })

    it('is not asked again for what is only badly signed', async () => {
      assert.equal(await codeOf(await issuer.token()), 'OK')
      nowMs += 60_000
      const [head, body, signature = ''] = (await issuer.token()).split('.')
      const forged = `${head}.${body}.${signature.split('').toReversed().join('')}`
      assert.equal(await codeOf(forged), 'MESH_TOKEN_SIGNATURE')
      assert.equal(issuer.asked(), 1)
    })

    it('redirects is not followed', async () => {
      let followed = 0
      const other = await startTokenIssuer()
      closing.push(other.close)
      other.keys.set('one', firstKey())
      other.serve((_, response) => {
        followed += 1
        response.end()
      })
      for (const status of [301, 302, 307, 308]) {
        issuer.serve((_, response) => response.writeHead(status, { location: other.jwksUri }).end())
        await open()
        assert.equal(await codeOf(await issuer.token()), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
        await verifier?.close()
      }
      assert.equal(followed, 0)
    })

    it('publishes a private key is not believed by it, nor by one that is weak', async () => {
      const { exportJWK } = await import('jose')
      const leaked = await issuer.addKey('leaked')
      leaked.jwk = { ...(await exportJWK(leaked.privateKey)), kid: 'leaked', alg: 'ES256' }
      const { generateKeyPairSync } = await import('node:crypto')
      const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({
        format: 'jwk',
      })
      issuer.serve((_, response) =>
        response.end(
          JSON.stringify({
            keys: [leaked.jwk, { ...weak, kid: 'weak', alg: 'RS256' }, firstKey().jwk],
          }),
        ),
      )
      assert.equal(await codeOf(await issuer.token()), 'OK')
      assert.equal(await codeOf(await issuer.token({}, { key: leaked })), 'MESH_TOKEN_KEY_UNKNOWN')
      const rs = await issuer.addKey('weak', 'RS256')
      assert.equal(await codeOf(await issuer.token({}, { key: rs })), 'MESH_TOKEN_KEY_UNKNOWN')
    })

    it('speaks TLS is believed by the roots of egress.ca, and by no other certificate', async () => {
      const issued = ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' })
      const pair = { cert: issued.certificateChain, key: issued.privateKey.reveal() }
      const secure = await startTokenIssuer({ tls: { ...pair, host: HOST } })
      const misnamed = await startTokenIssuer({ tls: { ...pair, host: 'localhost' } })
      closing.push(secure.close, misnamed.close)
      secure.keys.set('one', firstKey())
      misnamed.keys.set('one', firstKey())
      await open([entry(secure)])
      assert.equal(await codeOf(await issuer.token()), 'OK')
      await verifier?.close()
      await open([entry(misnamed)])
      assert.equal(await codeOf(await issuer.token()), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
      await verifier?.close()
      roots = rootCertificates[0] ?? ''
      await open([entry(secure)])
      assert.equal(await codeOf(await issuer.token()), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
      roots = issued.roots
      assert.equal(misnamed.asked() + secure.asked(), 1)
    })

    it('is reached directly, whatever proxy the environment names', async () => {
      let proxied = 0
      const { createServer } = await import('node:http')
      const proxy = createServer((_, response) => {
        proxied += 1
        response.end()
      })
      const port = await listenOnFreePort(proxy)
      closing.push(() => closeServer(proxy))
      const names = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'all_proxy', 'NODE_USE_ENV_PROXY']
      const before = names.map((name) => [name, process.env[name]] as const)
      closing.push(() => {
        for (const [name, value] of before)
          if (value === undefined) delete process.env[name]
          else process.env[name] = value
      })
      for (const name of names) process.env[name] = `http://127.0.0.1:${port}`
      process.env.NODE_USE_ENV_PROXY = '1'
      assert.equal(await codeOf(await issuer.token()), 'OK')
      assert.equal(proxied, 0)
    })

    it('is slow makes a thousand tokens wait, and no more', async () => {
      let release = () => {}
      issuer.serve((_, response) => {
        release = () => {
          issuer.serve(null)
          response.end(JSON.stringify({ keys: [firstKey().jwk] }))
        }
      })
      await open()
      const tokens = await Promise.all(
        Array.from({ length: 1_050 }, (_, i) => issuer.token({ jti: `t-${i}` })),
      )
      const codes = tokens.map(codeOf)
      await waitFor('the question', () => issuer.asked() === 1)
      release()
      const all = await Promise.all(codes)
      assert.equal(all.filter((code) => code === 'OK').length, 1_000)
      assert.equal(all.filter((code) => code === 'MESH_TOKEN_ISSUER_UNAVAILABLE').length, 50)
      assert.equal(issuer.asked(), 1)
    })
  })
})
