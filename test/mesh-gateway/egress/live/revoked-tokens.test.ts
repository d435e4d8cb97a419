/** Tokens that are taken back, by a real gateway: at the next request, in tunnels that are open, and by whom. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { silentLog } from '@clawmesh/agent-sdk'
import { createGateway, type Gateway, readConfig } from '@clawmesh/gateway'
import {
  addToList,
  beginList,
  readList,
  removeFromList,
} from '../../../../mesh-gateway/src/revocation/list-file.ts'
import { createListReader } from '../../../../mesh-gateway/src/revocation/list-reader.ts'
import { createListWriter } from '../../../../mesh-gateway/src/revocation/list-writer.ts'
import { SHARES } from '../../../../mesh-gateway/src/revocation/revoked-index.ts'
import { createServiceAccount } from '../../../../mesh-gateway/src/tokens/service-accounts.ts'
import { makeTestCa, type TestCa } from '../../../support/test-ca.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { rawClient, sendRaw } from '../fixture.ts'
import { basic } from '../setup.ts'

describe('a token that was taken back', () => {
  let ca: TestCa
  let gateway: Gateway
  let upstream: Server
  let to: string
  let list: string
  const keys: Record<string, string> = {}

  before(async () => {
    ca = await makeTestCa()
    upstream = createServer((socket) => socket.on('error', () => {}).pipe(socket))
    upstream.listen(0, '127.0.0.1')
    await once(upstream, 'listening')
    const bound = upstream.address()
    assert.ok(typeof bound === 'object' && bound !== null)
    to = `127.0.0.1:${bound.port}`
    const policy = join(ca.dir, 'policy')
    await mkdir(policy)
    const acme = { tenant: 'acme', egress: { allow: [to] } }
    await writeFile(join(policy, 'acme.json'), JSON.stringify(acme))
    const global = { egress: { ports: [bound.port], allowCidrs: ['127.0.0.0/8'] } }
    await writeFile(join(policy, '_global.json'), JSON.stringify(global))
    list = join(ca.dir, 'revoked.json')
    await beginList(list, Date.now())
    const file = join(ca.dir, 'accounts.json')
    for (const agent of ['bot-01', 'bot-02']) {
      const { key } = await createServiceAccount(file, {
        tenant: 'acme',
        agent,
        destinations: null,
      })
      keys[agent] = key.reveal()
    }
    gateway = await start({ 'revocation-list': list }, 'gw')
  })
  after(async () => {
    await gateway.close()
    upstream.close()
    await ca.close()
  })

  async function start(flags: Record<string, string>, name: string): Promise<Gateway> {
    const { config } = await readConfig({
      path: null,
      env: {},
      cwd: ca.dir,
      flags: {
        'trust-domain': 'mesh.internal',
        'identity-dir': await ca.gatewayDir({ name, tenants: ['acme'] }),
        'policy-dir': join(ca.dir, 'policy'),
        'keys-dir': join(ca.dir, 'keys'),
        'service-accounts-file': join(ca.dir, 'accounts.json'),
        'audit-file': join(ca.dir, `audit-${name}.log`),
        'egress-listen': '127.0.0.1:0',
        'delegation-listen': '127.0.0.1:0',
        'admin-listen': '127.0.0.1:0',
        ...flags,
      },
    })
    return await createGateway(config, { log: silentLog })
  }
  const post = (path: string, init: RequestInit, at = gateway) =>
    fetch(`http://127.0.0.1:${at.addresses.egress.port}${path}`, { method: 'POST', ...init })
  const bearer = (key: string | undefined) => ({ authorization: `Bearer ${key}` })
  const tokenFor = async (agent: string): Promise<string> => {
    const answer: unknown = await (await post('/v1/token', { headers: bearer(keys[agent]) })).json()
    assert.ok(typeof answer === 'object' && answer !== null && 'access_token' in answer)
    return String(answer.access_token)
  }
  const connectWith = (token: string, agent = 'bot-01') =>
    `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n${basic(token, agent)}\r\n`
  const openTunnel = async (token: string, agent?: string) => {
    const client = await rawClient(gateway.addresses.egress.port)
    client.send(connectWith(token, agent))
    await client.until((text) => text.includes('200 Connection established'))
    return client
  }
  const form = (token: string) => ({ body: new URLSearchParams({ token, token_type_hint: 'x' }) })
  const assertRefused = async (token: string, agent?: string) =>
    assert.match(
      await sendRaw(gateway.addresses.egress.port, connectWith(token, agent)),
      /^HTTP\/1\.1 403 [\s\S]*MESH_TOKEN_REVOKED/,
    )

  it('by itself is refused though it was remembered, and its tunnel ends', async () => {
    const token = await tokenFor('bot-01')
    const other = await tokenFor('bot-01')
    const tunnel = await openTunnel(token)
    const untouched = await openTunnel(other)
    assert.equal((await post('/v1/token/revoke', form(token))).status, 200)
    await tunnel.rest()
    await assertRefused(token)
    assert.equal((await post('/v1/token/revoke', form(token))).status, 200)
    untouched.send('still here')
    await untouched.until((text) => text.endsWith('still here'))
    untouched.socket.destroy()
    const [kept, ...more] = await readList(list, Date.now())
    assert.deepEqual([kept?.kind, kept?.by, more.length], ['token', 'acme/bot-01', 0])
    assert.ok(!(await readFile(list, 'utf8')).includes(token))
  })

  it('by the service account of its agent is refused; that of another agent takes back nothing', async () => {
    const token = await tokenFor('bot-01')
    const asked = (key: string | undefined, body: string) =>
      post('/v1/token/revoke', { headers: bearer(key), body })
    const json = JSON.stringify({ token })
    assert.equal((await asked(keys['bot-02'], json)).status, 403)
    assert.equal((await asked('cmsa_0123456789abcdef_wrong', json)).status, 401)
    ;(await openTunnel(token)).socket.destroy()
    assert.equal((await asked(keys['bot-01'], json)).status, 200)
    await assertRefused(token)
  })

  it('in the Authorization header needs no body, and takes back no other', async () => {
    const [one, two] = [await tokenFor('bot-01'), await tokenFor('bot-01')]
    const wrong = await post('/v1/token/revoke', { headers: bearer(one), ...form(two) })
    assert.equal(wrong.status, 400)
    ;(await openTunnel(two)).socket.destroy()
    assert.equal((await post('/v1/token/revoke', { headers: bearer(one) })).status, 200)
    await assertRefused(one)
  })

  it('is no good, as any other that is none: nobody learns which ones are', async () => {
    for (const token of ['a.b.c', 'rubbish', `${await tokenFor('bot-01')}x`])
      assert.equal((await post('/v1/token/revoke', form(token))).status, 200, token)
    for (const body of ['', 'token=', 'token=a&token=b', '{"token":1}', '{'])
      assert.equal((await post('/v1/token/revoke', { body })).status, 400, body)
  })

  it('with its agent is refused, its tunnels end, and its account gets no other', async () => {
    const token = await tokenFor('bot-02')
    const tunnel = await openTunnel(token, 'bot-02')
    const value = 'spiffe://mesh.internal/tenant/acme/agent/bot-02'
    const since = new Date().toISOString()
    await addToList(list, { kind: 'agent', value, reason: null, since, until: null }, Date.now())
    await tunnel.rest()
    // to say that a fresh token helps would have its client ask for one again and again
    assert.match(
      await sendRaw(gateway.addresses.egress.port, connectWith(token, 'bot-02')),
      /^HTTP\/1\.1 403 MESH_TOKEN_REVOKED the agent has been revoked; a fresh token would be refused too; ask who runs the gateway\r\n/,
    )
    assert.equal((await post('/v1/token', { headers: bearer(keys['bot-02']) })).status, 401)
    await removeFromList(list, { kind: 'agent', value }, Date.now())
  })

  it('is not revoked when its agent has used up its share: that is said, recorded, and operators always can', async () => {
    await gateway.reload()
    const token = await tokenFor('bot-02')
    const reader = createListReader(list)
    const writer = createListWriter({ path: list, reader })
    const until = new Date(Date.now() + 3_600_000).toISOString()
    const since = new Date().toISOString()
    const add = { kind: 'token', reason: null, since, until, by: 'acme/bot-02' } as const
    const values = Array.from({ length: SHARES.agent }, (_, n) => `of-bot-02-${n}`)
    await Promise.all(values.map((value) => writer.change(() => ({ add: { ...add, value } }))))
    const answer = await post('/v1/token/revoke', form(token))
    assert.equal(answer.status, 429)
    assert.equal(answer.headers.get('retry-after'), '60')
    const body: unknown = await answer.json()
    assert.ok(typeof body === 'object' && body !== null)
    assert.equal(Reflect.get(body, 'code'), 'MESH_REVOCATION_SHARE')
    assert.match(String(Reflect.get(body, 'reason')), /NOT revoked, and still good/)
    assert.match(String(Reflect.get(body, 'hint')), /mesh-gateway revoke agent acme\/bot-02/)
    ;(await openTunnel(token, 'bot-02')).socket.destroy()
    const recorded = await waitFor('the record', async () => {
      const lines = (await readFile(join(ca.dir, 'audit-gw.log'), 'utf8')).trim().split('\n')
      const records = lines.map((line): Record<string, unknown> => JSON.parse(line))
      return records.find(({ reason }) => reason === 'MESH_REVOCATION_SHARE')
    })
    const { tenant, agent_id, token_jti, action_allowed, path } = recorded
    assert.deepEqual([tenant, agent_id, path], ['acme', 'bot-02', '/v1/token/revoke'])
    assert.equal(action_allowed, false)
    assert.ok(typeof token_jti === 'string' && token_jti.length > 10)
    // others are not held back, and neither is an operator
    const other = await tokenFor('bot-01')
    assert.equal((await post('/v1/token/revoke', form(other))).status, 200)
    await addToList(list, { kind: 'token', value: token_jti, reason: null, since, until: null }, 0)
    await gateway.reload()
    await assertRefused(token, 'bot-02')
  })

  it('cannot be, where the gateway has no list', async () => {
    const plain = await start({}, 'plain')
    try {
      assert.equal((await post('/v1/token/revoke', form('a.b.c'), plain)).status, 404)
    } finally {
      await plain.close()
    }
  })

  it('that is none costs its address also on a connection that showed a good one before', async () => {
    const fresh = await start({ 'revocation-list': list }, 'fresh')
    const token = await tokenFor('bot-01')
    const client = await rawClient(fresh.addresses.egress.port)
    try {
      client.send(`GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n${basic(token)}\r\n`)
      await client.until((text) => text.includes('MESH_EGRESS_PORT_REFUSED'))
      for (let count = 0; count < 150; count += 1) {
        const body = `token=a.b.${count}`
        client.send(
          `POST /v1/token/revoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        )
      }
      await client.until((text) => text.includes('HTTP/1.1 429 '))
    } finally {
      client.socket.destroy()
      await fresh.close()
    }
  })

  it('that is none costs its address, though the answer does not tell', async () => {
    const statuses: number[] = []
    // at once, since the budget fills again while a busy machine answers one after the other
    for (let round = 0; round < 40 && !statuses.includes(429); round += 1) {
      const posts = Array.from({ length: 50 }, (_, count) =>
        post('/v1/token/revoke', form(`a.${round}.${count}`)),
      )
      statuses.push(...(await Promise.all(posts)).map(({ status }) => status))
    }
    assert.deepEqual([statuses[0], statuses.includes(429)], [200, true])
  })
})
