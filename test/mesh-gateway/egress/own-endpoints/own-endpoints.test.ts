/** What the egress port answers itself. */
import assert from 'node:assert/strict'
import { MeshError, Secret } from '@clawmesh/proto'
import type {
  AccountTokenRequest,
  IssueForAccountKey,
} from '../../../../mesh-gateway/src/egress/own-endpoints/token-request.ts'
import { rawClient, refusalOf, sendRaw } from '../fixture.ts'
import { setUp } from '../setup.ts'

const KEY = 'cmsa_0123456789abcdef_secretsecret'

describe('the own endpoints of the egress port', () => {
  const setup = setUp()
  afterEach(setup.close)

  async function start(options: { ready?: boolean; accounts?: false } = {}) {
    const asked: { key: string; request: AccountTokenRequest }[] = []
    const issue: IssueForAccountKey = async (key, request) => {
      asked.push({ key: key.reveal(), request })
      if (key.reveal() !== KEY) throw new MeshError('MESH_ACCOUNT_KEY_INVALID')
      return {
        token: new Secret('a.b.c'),
        claims: {
          iss: 'x',
          aud: 'clawmesh-egress',
          sub: 'spiffe://mesh.internal/tenant/acme/agent/bot-01',
          agent_id: 'bot-01',
          tenant: 'acme',
          allowed_destinations: ['api.test'],
          iat: 0,
          nbf: 0,
          exp: Math.floor(Date.now() / 1000) + 900,
          jti: 'j',
        },
      }
    }
    const egress = await setup.egress(80, {
      port: {
        isReady: () => options.ready ?? true,
        ownNames: ['localhost', 'gateway.mesh.internal'],
        issueForAccountKey: options.accounts === false ? null : issue,
      },
    })
    const ask = (line: string, headers = '', body = '', host = `127.0.0.1:${egress.number}`) =>
      sendRaw(
        egress.number,
        `${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${headers}${body === '' ? '' : `Content-Length: ${body.length}\r\n`}\r\n${body}`,
      )
    return { egress, asked, ask }
  }

  it('say that the gateway is up, by address and by its names', async () => {
    const { ask, egress } = await start()
    for (const host of [`127.0.0.1:${egress.number}`, 'localhost', 'Gateway.mesh.internal:8080'])
      assert.match(
        await ask('GET /health', '', '', host),
        /^HTTP\/1\.1 200 OK[\s\S]*\{"status":"up"\}\n$/,
      )
    assert.match(await ask('HEAD /health'), /content-length: 16[\s\S]*\r\n\r\n$/)
    assert.equal(egress.records.length, 0)
  })

  it('tell whether it is ready, truthfully', async () => {
    assert.match(await (await start()).ask('GET /ready'), /^HTTP\/1\.1 200 /)
    assert.match(await (await start({ ready: false })).ask('GET /ready'), /^HTTP\/1\.1 503 /)
  })

  it('show the public keys and nothing private, and let them be cached', async () => {
    const { ask } = await start()
    const answer = await ask('GET /.well-known/jwks.json')
    assert.match(answer, /cache-control: public, max-age=300\r\n/)
    const body: unknown = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))
    assert.ok(
      typeof body === 'object' && body !== null && 'keys' in body && Array.isArray(body.keys),
    )
    assert.ok(body.keys.length > 0)
    assert.doesNotMatch(answer, /"d":/)
  })

  for (const [how, headers, body] of [
    ['in Authorization', `Authorization: Bearer ${KEY}\r\n`, ''],
    ['in the body', '', JSON.stringify({ key: KEY })],
  ] as const)
    it(`give a token for a service-account key ${how}`, async () => {
      const { ask, asked, egress } = await start()
      const answer = await ask('POST /v1/token', headers, body)
      assert.match(answer, /^HTTP\/1\.1 200 /)
      assert.match(answer, /cache-control: no-store\r\n/)
      assert.match(
        answer,
        /"access_token":"a\.b\.c","token_type":"Bearer","expires_in":(?:900|899),/,
      )
      assert.match(answer, /"allowed_destinations":\["api\.test"\]/)
      assert.deepEqual(asked, [
        { key: KEY, request: { agentId: null, destinations: null, ttlMs: null } },
      ])
      const record = await egress.record(0)
      assert.equal(record.path, '/v1/token')
      assert.equal(JSON.stringify(record).includes(KEY), false)
    })

  it('tell a client to send its body that sends it only then, and no client whose body would be too large', async () => {
    const { egress } = await start()
    const head = (length: number) =>
      `POST /v1/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${KEY}\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`
    const client = await rawClient(egress.number)
    client.send(head(2))
    await client.until((text) => text === 'HTTP/1.1 100 Continue\r\n\r\n')
    client.send('{}')
    assert.match(await client.rest(), /Continue\r\n\r\nHTTP\/1\.1 200 OK[\s\S]*"a\.b\.c"/)
    client.socket.destroy()
    assert.match(await sendRaw(egress.number, head(16_385)), /^HTTP\/1\.1 413 /)
  })

  it('hand on what is asked of the token', async () => {
    const { ask, asked } = await start()
    const body = JSON.stringify({ agent_id: 'bot-02', destinations: ['a.test'], ttl_seconds: 60 })
    await ask('POST /v1/token', `Authorization: Bearer ${KEY}\r\n`, body)
    assert.deepEqual(asked[0]?.request, {
      agentId: 'bot-02',
      destinations: ['a.test'],
      ttlMs: 60_000,
    })
  })

  it('refuse a wrong key, and no key, with a challenge', async () => {
    const { ask } = await start()
    for (const headers of [
      'Authorization: Bearer wrong\r\n',
      'Authorization: Basic YTpi\r\n',
      '',
    ]) {
      const answer = await ask('POST /v1/token', headers)
      assert.match(answer, /^HTTP\/1\.1 401 [\s\S]*www-authenticate: Bearer/)
      assert.equal(refusalOf(answer).code, 'MESH_ACCOUNT_KEY_INVALID')
    }
  })

  for (const body of [
    '{',
    '[]',
    '"x"',
    '{"kee": "x"}',
    '{"destinations": "a.test"}',
    '{"ttl_seconds": -1}',
    '{"ttl_seconds": 1.5}',
    '{"agent_id": "a", "agent_id": "b"}',
    `{"key": "${KEY}"}`,
  ])
    it(`refuse the body ${body.slice(0, 30)} beside a key, repeating nothing of it`, async () => {
      const { ask, asked } = await start()
      const answer = await ask('POST /v1/token', `Authorization: Bearer ${KEY}\r\n`, body)
      assert.match(answer, /^HTTP\/1\.1 400 /)
      assert.equal(answer.includes(KEY), false)
      assert.equal(asked.length, 0)
    })

  it('refuse a body that is too large before reading it', async () => {
    const { ask } = await start()
    assert.match(await ask('POST /v1/token', '', 'x'.repeat(20_000)), /^HTTP\/1\.1 413 /)
  })

  it('say which methods and which paths there are', async () => {
    const { ask } = await start()
    assert.match(await ask('GET /v1/token'), /^HTTP\/1\.1 405 [\s\S]*allow: POST\r\n/)
    assert.match(await ask('POST /health'), /^HTTP\/1\.1 405 [\s\S]*allow: GET, HEAD\r\n/)
    assert.equal(refusalOf(await ask('GET /secret')).code, 'MESH_EGRESS_NOT_FOUND')
  })

  it('name the setting of one that is not there, and never the endpoint itself as one that is', async () => {
    const { ask } = await start({ accounts: false })
    for (const [path, setting] of [
      ['/v1/token', /serviceAccounts\.file/],
      ['/v1/token/revoke', /revocation\.list/],
    ] as const) {
      const { code, hint } = refusalOf(await ask(`POST ${path}`))
      assert.equal(code, 'MESH_EGRESS_NOT_FOUND')
      assert.match(String(hint), setting)
      assert.doesNotMatch(String(hint), /\/v1\/token/)
    }
  })

  it('answer to no other name, so that no page of a browser can be rebound to them', async () => {
    const { ask, egress } = await start()
    for (const host of ['evil.test', 'localhost.evil.test']) {
      const answer = await ask('GET /health', '', '', host)
      assert.match(answer, /^HTTP\/1\.1 407 /, host)
    }
    assert.deepEqual(egress.asked, [])
  })

  it('answer to any address, since a balancer or a mapped port may stand before them', async () => {
    const { ask } = await start()
    for (const host of ['127.0.0.1', '192.0.2.7:18080', '[2001:db8::1]'])
      assert.match(await ask('GET /health', '', '', host), /^HTTP\/1\.1 200 /, host)
  })
})
