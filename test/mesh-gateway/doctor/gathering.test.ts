import assert from 'node:assert/strict'
import { once } from 'node:events'
import { access, mkdir, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createSecureServer } from 'node:http2'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { type IdentitySnapshot, loadIdentity, serverTlsOptions } from '@clawmesh/agent-sdk/mesh'
import { writeIdentity } from '@clawmesh/pki'
import { MeshError } from '@clawmesh/proto'
import { checkClocks } from '../../../mesh-gateway/src/doctor/clocks.ts'
import {
  checkEgressCertificate,
  readEgressCertificate,
} from '../../../mesh-gateway/src/doctor/egress-certificate.ts'
import { checkPeer } from '../../../mesh-gateway/src/doctor/peer.ts'
import { checkPorts } from '../../../mesh-gateway/src/doctor/ports.ts'
import { readPeerFacts } from '../../../mesh-gateway/src/doctor/read-peer-facts.ts'
import { readPorts } from '../../../mesh-gateway/src/doctor/read-ports.ts'
import {
  checkRevocationLists,
  readRevocationLists,
} from '../../../mesh-gateway/src/doctor/revocation-lists.ts'
import type { Resolver } from '../../../mesh-gateway/src/resolve/resolver.ts'
import { describeClosing } from '../../support/closes-everything.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { listeningAt } from './listening-at.ts'

const HOUR_MS = 3_600_000

describeClosing('what the doctor gathers', () => {
  let ca: TestCa
  let gateway: IdentitySnapshot
  before(async () => {
    ca = await makeTestCa()
    const dir = await ca.gatewayDir({ name: 'gw', tenants: ['acme'] })
    gateway = await loadIdentity(dir, { spiffe: ca.spiffe })
  })
  after(() => ca.close())

  const host = 'library.acme.mesh.internal'
  const resolver = (port: number): Resolver => ({
    services: async () => [{ host, port, priority: 0, weight: 0 }],
    addresses: async () => [{ ip: '127.0.0.1', ttlMs: 0 }],
    close() {},
  })
  /** Looks at a peer that shows this certificate and tells this time. */
  const visit = async (
    dir: string,
    date: string | null,
    more: (port: number) => Partial<Parameters<typeof readPeerFacts>[0]> = () => ({}),
  ) => {
    const snapshot = await loadIdentity(dir, { spiffe: ca.spiffe })
    const server = createSecureServer(serverTlsOptions(snapshot))
    server.on('stream', (stream) => {
      const headers = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' }
      stream.respond(date === null ? headers : { ...headers, date }, {
        endStream: true,
        ...{ sendDate: false },
      })
    })
    server.on('session', (session) => session.on('error', () => {}))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    try {
      return await readPeerFacts({
        target: { peer: { tenant: 'acme', agent: 'library' }, host, port: null },
        ...{ peerPorts: [7443], configured: null },
        resolver: resolver(port),
        identity: gateway,
        spiffe: ca.spiffe,
        dialTimeoutMs: 2_000,
        now: Date.now,
        ...more(port),
      })
    } finally {
      server.close()
      await once(server, 'close')
    }
  }
  const library = { tenant: 'acme', agent: 'library' }

  it('a peer at the address that the configuration gives, without DNS', async () => {
    const nowhere: Resolver = {
      services: () => assert.fail('DNS is asked'),
      addresses: () => assert.fail('DNS is asked'),
      close() {},
    }
    const { answers } = await visit(await ca.agentDir(library), null, (port) => ({
      ...{ resolver: nowhere, configured: [`127.0.0.1:${port}`] },
    }))
    assert.ok(!(answers instanceof MeshError))
    const { findings, about } = checkPeer({ name: host, servers: null, configured: true, answers })
    assert.deepEqual(findings, [])
    assert.match(about, /^library\.acme\.mesh\.internal at 127\.0\.0\.1:\d+ \(delegation\.peers\)/)
  })

  it('the clock of a peer, from whatever it answers', async () => {
    const dir = await ca.agentDir(library)
    const { clock, answers } = await visit(dir, new Date(Date.now() + HOUR_MS).toUTCString())
    assert.ok(clock !== null && !(answers instanceof MeshError))
    assert.deepEqual(
      answers.map(({ error }) => error),
      [null],
    )
    assert.match(checkClocks(clock).findings[0]?.what ?? '', /(?:59|60) minutes ahead of ours/)
    for (const date of [null, 'yesterday'])
      assert.equal((await visit(dir, date)).clock?.theirMs, null)
  })

  it('a peer with the certificate of another CA, without calling it', async () => {
    const other = await makeTestCa()
    try {
      const { clock, answers } = await visit(await other.agentDir(library), null)
      assert.equal(clock, null)
      const { findings } = checkPeer({ name: host, servers: null, configured: false, answers })
      assert.match(findings[0]?.why ?? '', /MESH_PEER_UNTRUSTED$/)
      assert.match(findings[0]?.todo ?? '', /^mesh-gateway doctor --agent DIR/)
    } finally {
      await other.close()
    }
  })

  it('a peer that accepts and says nothing, within the time to dial', async () => {
    const silent = createServer((socket) => socket.on('error', () => {}).resume())
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const { answers } = await readPeerFacts({
      target: { peer: library, host, port },
      ...{ peerPorts: [port], configured: null },
      resolver: resolver(port),
      identity: gateway,
      spiffe: ca.spiffe,
      dialTimeoutMs: 200,
      now: Date.now,
    })
    silent.close()
    await once(silent, 'close')
    const seen = checkPeer({ name: host, servers: null, configured: false, answers })
    const [finding] = seen.findings
    assert.match(finding?.what ?? '', /did not answer in time/)
    assert.match(finding?.todo ?? '', /nc -vz 127\.0\.0\.1 \d+$/)
  })

  it('who has a Unix socket, and leaves one alone that nobody has', async () => {
    const path = join(ca.dir, 'egress.sock')
    const config = listeningAt(ca.dir, { 'egress-listen': `unix:${path}` })
    const look = async () => checkPorts(await readPorts(config, null, ca.spiffe))
    assert.deepEqual((await look()).findings, [])
    await assert.rejects(access(path), 'nothing is made')
    let body = 'hello'
    const server = createHttpServer((_, response) => response.end(body))
    server.listen(path)
    await once(server, 'listening')
    try {
      const [finding] = (await look()).findings
      assert.match(
        finding?.what ?? '',
        /^egress\.listen unix:\S+ is taken by a program that does not/,
      )
      assert.match(finding?.todo ?? '', /`ss -lxp src \S+` shows the process$/)
      body = '{"status":"up"}'
      assert.deepEqual((await look()).findings, [], 'a gateway runs')
      body = '{"status":"up","version":"0.1.0"}'
      assert.deepEqual((await look()).findings, [], 'a newer gateway runs')
      body = `{"status":"up"${' '.repeat(100_000)}}`
      assert.equal((await look()).findings.length, 1, 'only so much is read')
    } finally {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    }
  })

  it('the certificate of the egress port, whoever issued it', async () => {
    const dir = await ca.agentDir({ tenant: 'acme', agent: 'egress' })
    const check = async (nowMs = Date.now()) =>
      checkEgressCertificate({ ...(await readEgressCertificate(dir)), nowMs }).findings[0]?.what ??
      ''
    assert.equal(await check(), '')
    assert.match(await check(Date.now() + 20 * HOUR_MS), /ends in 3 hours/)
    assert.match(await check(Date.now() + 30 * HOUR_MS), /expired at/)
    assert.match(await check(Date.now() - 30 * HOUR_MS), /valid from/)
    const [one, two] = [1, 2].map(() => ca.ca.issueAgent({ tenant: 'acme', agent: 'egress' }))
    assert.ok(one && two)
    await writeIdentity(dir, { ...one, privateKey: two.privateKey })
    assert.match(await check(), /tls\.key does not fit/)
    const torn = join(ca.dir, 'torn')
    await mkdir(torn)
    await writeFile(join(torn, 'tls.crt'), 'nothing')
    const facts = { ...(await readEgressCertificate(torn)), nowMs: 0 }
    assert.match(checkEgressCertificate(facts).findings[0]?.what ?? '', /cannot be read \(ERR_/)
  })

  it('revocation lists that are out of date, broken or missing', async () => {
    const file = join(ca.dir, 'mesh.crl')
    const check = async (nowMs: number, stale: 'refuse' | 'keep' = 'refuse') => {
      const lists = await readRevocationLists(file, gateway)
      return checkRevocationLists({ file, lists, stale, nowMs }).findings
    }
    assert.match((await check(0))[0]?.what ?? '', /cannot be read \(ENOENT\)/)
    const { pem } = await ca.ca.crl()
    await writeFile(file, pem)
    assert.deepEqual(await check(Date.now()), [])
    const [late] = await check(Date.now() + 400 * 24 * HOUR_MS)
    assert.match(late?.what ?? '', /out of date since \d+ days/)
    assert.match(late?.why ?? '', /every certificate of that CA is refused/)
    const [kept] = await check(Date.now() + 400 * 24 * HOUR_MS, 'keep')
    assert.match(kept?.why ?? '', /what was revoked since is accepted/)
    await writeFile(file, pem.slice(0, -40))
    assert.equal((await check(Date.now())).length, 1)
  })
})
