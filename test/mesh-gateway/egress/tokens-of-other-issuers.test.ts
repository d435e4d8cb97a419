/** Tokens of other issuers at the egress port of a real gateway: what they open, what they do not, and how they are taken back. */
import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { silentLog } from '@clawmesh/agent-sdk'
import { createGateway, type Gateway, readConfig } from '@clawmesh/gateway'
import {
  addToList,
  beginList,
  removeFromList,
} from '../../../mesh-gateway/src/revocation/list-file.ts'
import { createServiceAccount } from '../../../mesh-gateway/src/tokens/service-accounts.ts'
import { describeClosing } from '../../support/closes-everything.ts'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { startTokenIssuer, type TokenIssuer } from '../../support/token-issuer.ts'
import { waitFor } from '../../support/wait-for.ts'
import { rawClient, refusalOf, sendRaw } from './fixture.ts'
import { basic } from './setup.ts'

describeClosing('a token of another issuer', () => {
  let ca: TestCa
  let gateway: Gateway
  let origin: Server
  let issuer: TokenIssuer
  let to: string
  let list: string
  let seen: (string | undefined)[]
  const keys: Record<string, string> = {}

  before(async () => {
    ca = await makeTestCa()
    issuer = await startTokenIssuer()
    await issuer.addKey('one')
    origin = createServer((request, response) => {
      seen.push(request.headers.authorization, request.headers['proxy-authorization'])
      response.end('reached')
    })
    const port = await listenOnFreePort(origin)
    to = `127.0.0.1:${port}`
    const policy = join(ca.dir, 'policy')
    await mkdir(policy)
    const write = (name: string, value: object) =>
      writeFile(join(policy, name), JSON.stringify(value))
    await write('acme.json', { tenant: 'acme', egress: { allow: [to] } })
    await write('globex.json', { tenant: 'globex', egress: { allow: [to] } })
    await write('_global.json', { egress: { ports: [port], allowCidrs: ['127.0.0.0/8'] } })
    list = join(ca.dir, 'revoked.json')
    await beginList(list, Date.now())
    for (const agent of ['bot-01', 'bot-02']) {
      const wanted = { tenant: 'acme', agent, destinations: null }
      const { key } = await createServiceAccount(join(ca.dir, 'accounts.json'), wanted)
      keys[agent] = key.reveal()
    }
    // a port that was free and is no longer listened on
    const away = createServer()
    const awayPort = await listenOnFreePort(away)
    await closeServer(away)
    await writeFile(
      join(ca.dir, 'gateway.json'),
      JSON.stringify({
        trustDomain: 'mesh.internal',
        identity: { dir: await ca.gatewayDir({ name: 'gw', tenants: ['acme'] }) },
        policy: { dir: 'policy' },
        keys: { dir: 'keys' },
        serviceAccounts: { file: 'accounts.json' },
        revocation: { list },
        audit: { file: 'audit.log' },
        ...Object.fromEntries(
          ['egress', 'delegation', 'admin'].map((name) => [name, { listen: '127.0.0.1:0' }]),
        ),
        tokens: {
          issuers: [
            { issuer: issuer.iss, jwksUri: issuer.jwksUri, tenants: ['acme'] },
            {
              issuer: 'https://away.example',
              jwksUri: `http://127.0.0.1:${awayPort}/keys`,
              tenants: ['acme'],
            },
          ],
        },
      }),
    )
    const { config } = await readConfig({
      path: 'gateway.json',
      env: {},
      flags: {},
      cwd: ca.dir,
    })
    gateway = await createGateway(config, { log: silentLog })
  })
  beforeEach(() => {
    seen = []
  })
  after(async () => {
    await gateway?.close()
    await closeServer(origin)
    await issuer.close()
    await ca.close()
  })

  const send = (text: string) => sendRaw(gateway.addresses.egress.port, text)
  const absolute = (headers: string) =>
    send(`GET http://${to}/ HTTP/1.1\r\nHost: ${to}\r\n${headers}Connection: close\r\n\r\n`)
  const connect = (headers: string) => `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n${headers}\r\n`
  const bearer = (token: string) => `Proxy-Authorization: Bearer ${token}\r\n`
  const token = (more: object = {}, from = issuer) =>
    from.token({ allowed_destinations: [to], ...more })
  const refused = async (answer: Promise<string>, code: string, status = 403) => {
    const text = await answer
    assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `))
    assert.equal(refusalOf(text).code, code)
    return refusalOf(text)
  }
  const openTunnel = async (credential: string) => {
    const client = await rawClient(gateway.addresses.egress.port)
    client.send(connect(credential))
    await client.until((text) => text.includes('200 Connection established'))
    return client
  }
  const revoke = (one: string, headers: Readonly<Record<string, string>> = {}) =>
    fetch(`http://127.0.0.1:${gateway.addresses.egress.port}/v1/token/revoke`, {
      method: 'POST',
      headers,
      body: new URLSearchParams({ token: one }),
    })

  it('opens what its destinations and policy both allow, and is handed on to nobody', async () => {
    const good = await token()
    assert.match(await absolute(bearer(good)), /^HTTP\/1\.1 200 [\s\S]*reached/)
    assert.match(await absolute(basic(good)), /^HTTP\/1\.1 200 /)
    assert.deepEqual(seen, [undefined, undefined, undefined, undefined])
    const tunnel = await openTunnel(basic(good))
    tunnel.socket.destroy()
    await refused(absolute(basic(good, 'bot-02')), 'MESH_TOKEN_AGENT_MISMATCH')
    await refused(
      absolute(bearer(await token({ allowed_destinations: ['api.test'] }))),
      'MESH_TOKEN_DESTINATION',
    )
    await refused(absolute(bearer(await token({ tenant: 'globex' }))), 'MESH_TOKEN_TENANT')
    await refused(
      absolute(bearer(await token({ cnf: { 'x5t#S256': 'A'.repeat(43) } }))),
      'MESH_TOKEN_BINDING',
    )
  })

  it('counts in Proxy-Authorization alone: Authorization may be meant for the destination', async () => {
    const good = await token()
    await refused(absolute(`Authorization: Bearer ${good}\r\n`), 'MESH_TOKEN_MISSING', 407)
    const both = `${bearer(good)}Authorization: Bearer ${good}\r\n`
    assert.match(await absolute(both), /^HTTP\/1\.1 200 /)
    assert.deepEqual(seen, [`Bearer ${good}`, undefined])
  })

  it('stands in the audit log with the agent that it speaks for and an id to revoke it by', async () => {
    const agent = 'audited'
    await absolute(bearer(await token({ agent_id: agent, jti: 'from-outside' })))
    const line = await waitFor('the audit line', async () =>
      (await readFile(join(ca.dir, 'audit.log'), 'utf8'))
        .split('\n')
        .find((text) => text.includes(`"agent_id":"${agent}"`)),
    )
    const record: unknown = JSON.parse(line)
    assert.ok(typeof record === 'object' && record !== null)
    assert.equal(Reflect.get(record, 'tenant'), 'acme')
    assert.match(String(Reflect.get(record, 'token_jti')), /^[0-9a-f]{8}:from-outside$/)
  })

  it('is taken back by whoever holds it: its next request is refused, and its tunnel ends', async () => {
    for (const jti of ['plain', undefined, 'x/y'.repeat(100)]) {
      const one = await token({ jti })
      const tunnel = await openTunnel(basic(one))
      assert.equal((await revoke(one)).status, 200)
      await tunnel.rest()
      tunnel.socket.destroy()
      await refused(absolute(bearer(one)), 'MESH_TOKEN_REVOKED')
    }
    assert.match(await absolute(bearer(await token())), /^HTTP\/1\.1 200 /)
  })

  it('is taken back by the service account of its agent, and by no other', async () => {
    const one = await token({ jti: 'by-account' })
    const by = (agent: string) => ({ authorization: `Bearer ${keys[agent]}` })
    assert.equal((await revoke(one, by('bot-02'))).status, 403)
    assert.match(await absolute(bearer(one)), /^HTTP\/1\.1 200 /)
    assert.equal((await revoke(one, by('bot-01'))).status, 200)
    await refused(absolute(bearer(one)), 'MESH_TOKEN_REVOKED')
  })

  it('ends with its agent', async () => {
    const value = 'spiffe://mesh.internal/tenant/acme/agent/bot-03'
    const one = await token({ agent_id: 'bot-03' })
    assert.match(await absolute(bearer(one)), /^HTTP\/1\.1 200 /)
    const since = new Date().toISOString()
    await addToList(list, { kind: 'agent', value, reason: null, since, until: null }, Date.now())
    await gateway.reload()
    await refused(absolute(bearer(one)), 'MESH_TOKEN_REVOKED')
    await removeFromList(list, { kind: 'agent', value }, Date.now())
    await gateway.reload()
  })

  it('whose issuer is away is refused for a while and never said to be revoked; the gateway is ready all the same', async () => {
    const away = { ...issuer, iss: 'https://away.example' }
    const one = await token({ iss: away.iss })
    const answer = await absolute(bearer(one))
    assert.match(answer, /^HTTP\/1\.1 503 [\s\S]*\r\nretry-after: \d+\r\n/i)
    assert.equal(refusalOf(answer).code, 'MESH_TOKEN_ISSUER_UNAVAILABLE')
    assert.match(await send(connect(basic(one))), /^HTTP\/1\.1 503 MESH_TOKEN_ISSUER_UNAVAILABLE /)
    assert.equal((await revoke(one)).status, 503)
    const admin = `http://127.0.0.1:${gateway.addresses.admin.port}`
    assert.equal((await fetch(`${admin}/ready`)).status, 200)
    const page = await (await fetch(`${admin}/`)).text()
    assert.match(page, /<th>token issuers<\/th><td>[^<]*https:\/\/issuer\.example[,<]/)
    const metrics = await (await fetch(`${admin}/metrics`)).text()
    assert.match(metrics, /clawmesh_token_issuer_up\{issuer="https:\/\/away\.example"\} 0/)
    assert.match(metrics, /clawmesh_token_issuer_up\{issuer="https:\/\/issuer\.example"\} 1/)
  })

  it('is refused within a moment of SIGHUP when its key was taken back', async () => {
    const key = await issuer.addKey('leaked')
    await gateway.reload()
    const one = await token({}, issuer)
    const leaked = await issuer.token({ allowed_destinations: [to] }, { key })
    assert.match(await absolute(bearer(leaked)), /^HTTP\/1\.1 200 /)
    issuer.keys.delete('leaked')
    await gateway.reload()
    await refused(absolute(bearer(leaked)), 'MESH_TOKEN_KEY_UNKNOWN')
    assert.match(await absolute(bearer(one)), /^HTTP\/1\.1 200 /)
  })
})
