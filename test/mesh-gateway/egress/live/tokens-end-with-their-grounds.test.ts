/** An exchanged token, and what it has open, ends with all that vouches for it: certificate, CA, chain, signing key. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import { silentLog } from '@clawmesh/agent-sdk'
import {
  canonicalSerial,
  checkIsGateway,
  clientTlsOptions,
  type IdentityStore,
  keyIdentity,
  parseCertificates,
} from '@clawmesh/agent-sdk/mesh'
import { createGateway, type Gateway, readConfig } from '@clawmesh/gateway'
import { revoke, writeIdentity } from '@clawmesh/pki'
import { loadProto, messageOf } from '@clawmesh/proto/wire'
import { createChainGate } from '../../../../mesh-gateway/src/delegation/chain/chain-gate.ts'
import { createChainTokens } from '../../../../mesh-gateway/src/delegation/chain/chain-tokens.ts'
import { createMemoryBudgets } from '../../../../mesh-gateway/src/limits/budgets.ts'
import { addToList, beginList } from '../../../../mesh-gateway/src/revocation/list-file.ts'
import { openKeyRing } from '../../../../mesh-gateway/src/tokens/key-ring.ts'
import { retireKey, rotateRing } from '../../../../mesh-gateway/src/tokens/rotate-keys.ts'
import { makeTestCa, type TestCa } from '../../../support/test-ca.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { call, frame, GATEWAY } from '../../delegation/fixture.ts'
import { type RawClient, rawClient, sendRaw } from '../fixture.ts'

const EXCHANGE = '/clawmesh.mesh.v1.MeshService/ExchangeToken'
const protos = loadProto('clawmesh/mesh/v1/mesh.proto')

describe('a token that an agent exchanged its certificate for', () => {
  let ca: TestCa
  let other: TestCa
  let upstream: Server
  let gateway: Gateway
  let gatewayDir: string
  let to: string
  let list: string
  let crl: string
  let auditFile: string
  let bothRoots: string
  const closing: (() => void)[] = []

  before(async () => {
    ca = await makeTestCa()
    other = await makeTestCa()
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
    crl = join(ca.dir, 'crl.pem')
    auditFile = join(ca.dir, 'audit.log')
    await beginList(list, Date.now())
    await writeFile(crl, (await ca.ca.crl()).pem)
    const issued = ca.ca.issueGateway({ name: 'gw', tenants: ['acme'] })
    const foreign = other.ca.issueAgent({ tenant: 'acme', agent: 'any' })
    bothRoots = issued.roots + foreign.roots
    gatewayDir = join(ca.dir, 'gateway')
    await writeIdentity(gatewayDir, { ...issued, roots: bothRoots })
    const { config } = await readConfig({
      path: null,
      env: {},
      cwd: ca.dir,
      flags: {
        'trust-domain': 'mesh.internal',
        'identity-dir': gatewayDir,
        'policy-dir': policy,
        'keys-dir': join(ca.dir, 'keys'),
        'audit-file': auditFile,
        'revocation-list': list,
        'revocation-crl': crl,
        'egress-listen': '127.0.0.1:0',
        'delegation-listen': '127.0.0.1:0',
        'admin-listen': '127.0.0.1:0',
      },
    })
    gateway = await createGateway(config, { log: silentLog })
  })
  after(async () => {
    for (const close of closing) close()
    await gateway.close()
    upstream.close()
    await Promise.all([ca.close(), other.close()])
  })

  /** An agent that trusts the gateway, with a certificate of either CA. */
  async function agent(name: string, from = ca): Promise<IdentityStore> {
    const dir = join(ca.dir, `agent-${name}`)
    const issued = from.ca.issueAgent({ tenant: 'acme', agent: name })
    await writeIdentity(dir, { ...issued, roots: bothRoots })
    return ca.open(dir)
  }
  async function exchange(store: IdentityStore, headers: Record<string, string> = {}) {
    const options = { servername: GATEWAY }
    const socket = tls.connect({
      ...clientTlsOptions(store.current(), ca.spiffe, checkIsGateway, options),
      ...gateway.addresses.delegation,
    })
    const session = connectHttp2(`https://${GATEWAY}`, { createConnection: () => socket })
    session.on('error', () => {})
    closing.push(() => session.destroy())
    await once(session, 'remoteSettings')
    const asked = { ':path': EXCHANGE, ':authority': GATEWAY, ...headers }
    const answer = await call(session, asked, frame(Buffer.alloc(0)))
    assert.equal(answer.status, 0, answer.message)
    const message = messageOf<{ token: string }>(protos, 'clawmesh.mesh.v1.ExchangeTokenResponse')
    return message.deserialize(answer.body.subarray(5)).token
  }
  const connectWith = (token: string) =>
    `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`
  async function openTunnel(token: string): Promise<RawClient> {
    const client = await rawClient(gateway.addresses.egress.port)
    client.send(connectWith(token))
    await client.until((text) => text.includes('200 Connection established'))
    return client
  }
  async function refusal(token: string): Promise<string> {
    const answer = await sendRaw(gateway.addresses.egress.port, connectWith(token))
    return answer.slice(0, answer.indexOf('\r\n'))
  }
  /** That `change` ends the first and leaves the second as it is. */
  async function ends(
    token: string,
    untouched: string,
    change: () => Promise<unknown>,
  ): Promise<string> {
    const [tunnel, kept] = [await openTunnel(token), await openTunnel(untouched)]
    await change()
    await tunnel.rest()
    kept.send('still here')
    await kept.until((text) => text.endsWith('still here'))
    kept.socket.destroy()
    return refusal(token)
  }
  const revokeNow = (kind: 'certificate' | 'token' | 'agent', value: string) =>
    addToList(list, { kind, value, reason: null, since: now(), until: null }, Date.now())
  const now = () => new Date().toISOString()
  const serialOf = (store: IdentityStore) =>
    canonicalSerial(new X509Certificate(store.current().certificateChain).serialNumber)

  it('is named in the audit record of the exchange, with the certificate', async () => {
    const store = await agent('audited')
    const token = await exchange(store)
    const claims: unknown = JSON.parse(
      Buffer.from(token.split('.')[1] ?? '', 'base64url').toString(),
    )
    assert.ok(typeof claims === 'object' && claims !== null && 'jti' in claims)
    const record = await waitFor('the record', async () => {
      const lines = (await readFile(auditFile, 'utf8').catch(() => '')).split('\n').filter(Boolean)
      return lines.map((line) => JSON.parse(line)).find((line) => line.agent_id === 'audited')
    })
    assert.equal(record.token_jti, claims.jti)
    assert.equal(record.certificate, store.current().fingerprint)
    assert.equal(record.grpc_method, EXCHANGE.slice(1))
  })

  it('ends with the certificate, by fingerprint and by serial number, and another one of the agent does not', async () => {
    for (const named of ['fingerprint', 'serial'] as const) {
      const store = await agent(`revoked-by-${named}`)
      const token = await exchange(store)
      await writeIdentity(join(ca.dir, `agent-${named}-2`), {
        ...ca.ca.issueAgent({ tenant: 'acme', agent: `revoked-by-${named}` }),
        roots: bothRoots,
      })
      const renewed = await exchange(await ca.open(join(ca.dir, `agent-${named}-2`)))
      const value = named === 'serial' ? serialOf(store) : store.current().fingerprint
      const said = await ends(token, renewed, () => revokeNow('certificate', value))
      assert.match(
        said,
        /^HTTP\/1\.1 403 MESH_TOKEN_REVOKED the certificate that the token was exchanged for has been revoked/,
      )
    }
  })

  it('ends with an entry in the list of its CA', async () => {
    const store = await agent('in-a-crl')
    const [token, untouched] = [await exchange(store), await exchange(await agent('in-no-crl'))]
    const said = await ends(token, untouched, async () => {
      await revoke({
        dir: join(ca.dir, 'ca'),
        target: { serial: serialOf(store) },
        reason: 'keyCompromise',
      })
      await writeFile(`${crl}.next`, (await ca.ca.crl()).pem)
      await rename(`${crl}.next`, crl)
    })
    assert.match(said, /^HTTP\/1\.1 403 MESH_TOKEN_REVOKED /)
  })

  it('ends when its CA leaves the trust bundle', async () => {
    const token = await exchange(await agent('of-another-ca', other))
    const untouched = await exchange(await agent('of-this-ca'))
    const said = await ends(token, untouched, () =>
      writeIdentity(gatewayDir, ca.ca.issueGateway({ name: 'gw', tenants: ['acme'] })),
    )
    assert.match(said, /^HTTP\/1\.1 403 MESH_TOKEN_REVOKED the CA of the certificate/)
  })

  it('within a chain ends with the certificate that an agent of the chain delegated with', async () => {
    const planner = await agent('planner')
    const chainToken = async (from: IdentityStore) => {
      const keyRing = await openKeyRing({ dir: join(ca.dir, 'keys') })
      const tokens = createChainTokens({
        keyRing,
        issuer: 'https://gateway.mesh.internal',
        spiffe: ca.spiffe,
      })
      const gate = createChainGate({
        tokens,
        budgets: createMemoryBudgets({ keepMs: () => 60_000 }),
        ttlMs: () => 60_000,
      })
      const limits = { maxHops: null, maxDelegationsPerRoot: null }
      const { token } = await gate.extend({
        ...{ caller: from.current().identity.id, callee: worker.current().identity.id },
        ...{ parent: null, limits, rootTenant: 'acme', rootLimits: limits, links: linksOf(from) },
        narrow: { destinations: null, scope: null, deadlineMs: null },
      })
      tokens.close()
      await keyRing.close()
      return token
    }
    const worker = await agent('worker')
    const inChain = async (from: IdentityStore) =>
      exchange(worker, { 'x-mesh-delegation': await chainToken(from) })
    const token = await inChain(planner)
    const untouched = await inChain(await agent('another-planner'))
    const said = await ends(token, untouched, () =>
      revokeNow('certificate', planner.current().fingerprint),
    )
    assert.match(
      said,
      /^HTTP\/1\.1 403 MESH_CHAIN_REVOKED the certificate that spiffe:\/\/mesh\.internal\/tenant\/acme\/agent\/planner delegated with has been revoked/,
    )
    await assert.rejects(inChain(planner), /delegated with has been revoked/)
  })

  it('ends when the key that signed it is retired', async () => {
    const store = await agent('signed-by-an-old-key')
    const dir = join(ca.dir, 'keys')
    const token = await exchange(store)
    const kid = String(
      JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid,
    )
    await rotateRing({ dir })
    const untouched = await waitFor('a token by the next key', async () => {
      const fresh = await exchange(store)
      return fresh.split('.')[0] === token.split('.')[0] ? undefined : fresh
    })
    const said = await ends(token, untouched, () => retireKey({ dir, kid }))
    assert.match(said, /^HTTP\/1\.1 403 MESH_TOKEN_KEY_UNKNOWN /)
  })

  function linksOf(store: IdentityStore) {
    const { certificateChain, roots } = store.current()
    const chain = parseCertificates(certificateChain, 'tls.crt', 10)
    const anchors = roots.map(({ pem }) => new X509Certificate(pem))
    return chain.map((certificate) => {
      const issuer = [...chain, ...anchors].find(
        (one) =>
          one !== certificate && certificate.checkIssued(one) && certificate.verify(one.publicKey),
      )
      assert.ok(issuer)
      return {
        fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
        serial: canonicalSerial(certificate.serialNumber),
        issuerKey: keyIdentity(issuer),
      }
    })
  }
})
