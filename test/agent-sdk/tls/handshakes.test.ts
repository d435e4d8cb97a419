import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2, createSecureServer } from 'node:http2'
import { isIPv4 } from 'node:net'
import { join } from 'node:path'
import tls, { type TLSSocket } from 'node:tls'
import {
  type ClientTlsChoices,
  checkAgent,
  checkFromGateway,
  checkIsAgent,
  checkIsGateway,
  clientTlsOptions,
  followIdentity,
  handshakeFailure,
  type IdentitySnapshot,
  type IdentityStore,
  judgePeer,
  type PeerCertificate,
  type PeerCheck,
  readPeer,
  serverTlsOptions,
} from '@clawmesh/agent-sdk/mesh'
import { writeIdentity } from '@clawmesh/pki'
import { type ErrorCode, MeshError, Secret } from '@clawmesh/proto'
import { fingerprintOf } from '../../../agent-sdk/src/tls/fingerprint.ts'
import { issueBy, makeTestCa, spiffe, type TestCa } from '../../support/test-ca.ts'
import { type Minted, mint } from './mint.ts'

const ID = 'spiffe://mesh.internal/tenant/acme/agent/planner'
const anybody: PeerCheck = () => {}

/** A snapshot of certificates that openIdentity would refuse: what a hostile peer presents. */
function hostile(base: IdentitySnapshot, leaf: Minted, ...issuers: Minted[]): IdentitySnapshot {
  return {
    ...base,
    certificateChain: [leaf, ...issuers].map(({ pem }) => pem).join(''),
    privateKey: new Secret(leaf.keyPem),
  }
}

function trusting(base: IdentitySnapshot, ...roots: Minted[]): IdentitySnapshot {
  const added = roots.map(({ pem, certificate }) => {
    return { pem, fingerprint: fingerprintOf(certificate), notAfter: certificate.validToDate }
  })
  return { ...base, roots: [...base.roots, ...added] }
}

describe('handshakes of the mesh', () => {
  let ca: TestCa
  let agent: IdentitySnapshot
  let gateway: IdentitySnapshot
  const servers: tls.Server[] = []
  before(async () => {
    ca = await makeTestCa()
    await ca.issue('agent', 'planner')
    await ca.issue('gateway', 'gateway')
    agent = await ca.load('agent')
    gateway = await ca.load('gateway')
  })
  after(() => ca.close())
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.close()
      await once(server, 'close')
    }
  })

  const fixed = (snapshot: IdentitySnapshot): IdentityStore => ({
    current: () => snapshot,
    onChange: () => () => {},
    reload: async () => true,
    onReload: () => () => {},
    lastReload: () => ({ ok: true, at: new Date(), error: null }),
    close: async () => {},
  })

  async function listen(snapshot: IdentitySnapshot): Promise<tls.Server> {
    const server = tls.createServer(serverTlsOptions(snapshot))
    servers.push(server)
    followIdentity(server, fixed(snapshot))
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return server
  }

  const portOf = (listening: tls.Server): number => {
    const address = listening.address()
    assert.ok(typeof address === 'object' && address !== null && isIPv4(address.address))
    return address.port
  }

  /** What the server's gate says of a client. */
  async function judgeClient(
    client: IdentitySnapshot | null,
    by: IdentitySnapshot = gateway,
  ): Promise<PeerCertificate> {
    const listening = await listen(by)
    const options =
      client === null
        ? { ...clientTlsOptions(agent, spiffe, anybody), cert: undefined, key: undefined }
        : clientTlsOptions({ ...client, roots: by.roots }, spiffe, anybody)
    const socket = tls.connect({ ...options, port: portOf(listening), host: '127.0.0.1' })
    socket.on('error', () => {})
    const [accepted]: TLSSocket[] = await once(listening, 'secureConnection')
    assert.ok(accepted !== undefined)
    try {
      const first = readPeer(accepted, { spiffe, roots: by.roots })
      assert.deepEqual(readPeer(accepted, { spiffe, roots: by.roots }), first, 'reading twice')
      return first
    } finally {
      accepted.destroy()
      socket.destroy()
    }
  }

  async function refusesClient(
    code: ErrorCode,
    client: IdentitySnapshot | null,
    by?: IdentitySnapshot,
  ) {
    await assert.rejects(judgeClient(client, by), (error) => {
      assert.ok(error instanceof MeshError, String(error))
      assert.equal(error.code, code)
      return true
    })
  }

  /** Connects as an agent; resolves with the server's certificate, or rejects as the client sees it. */
  async function dial(
    by: IdentitySnapshot,
    check: PeerCheck,
    choices: ClientTlsChoices = {},
    as: IdentitySnapshot = agent,
  ): Promise<TLSSocket> {
    const listening = await listen(by)
    listening.on('secureConnection', (accepted: TLSSocket) =>
      accepted.on('error', () => {}).resume(),
    )
    const options = clientTlsOptions(as, spiffe, check, choices)
    const socket = tls.connect({ ...options, port: portOf(listening), host: '127.0.0.1' })
    try {
      await once(socket, 'secureConnect')
      return socket
    } finally {
      socket.on('error', () => {})
      socket.destroy()
    }
  }

  describe('the gate of a server', () => {
    it('reads who a client is, with the root its chain leads to', async () => {
      const peer = await judgeClient(agent)
      assert.equal(peer.identity.id, ID)
      assert.deepEqual(peer.dnsNames, ['planner.acme.mesh.internal'])
      assert.equal(peer.fingerprint, agent.fingerprint)
      assert.equal(peer.rootFingerprint, gateway.roots[0]?.fingerprint)
      assert.match(peer.serial, /^[0-9a-f]+$/)
      assert.deepEqual(peer.notAfter, agent.notAfter)
    })

    it('names the right root of several', async () => {
      const other = mint({ name: 'another root', pathLength: null })
      const leaf = mint({ issuer: other, uris: [ID] })
      const by = trusting(gateway, other)
      assert.equal((await judgeClient(agent, by)).rootFingerprint, gateway.roots[0]?.fingerprint)
      const peer = await judgeClient(hostile(agent, leaf), by)
      assert.equal(peer.rootFingerprint, fingerprintOf(other.certificate))
    })

    it('refuses a client without a certificate', () =>
      refusesClient('MESH_IDENTITY_NO_CERTIFICATE', null))

    it('refuses a certificate of another CA, though it has the same names', async () => {
      const other = issueBy(await ca.otherCa(), 'planner')
      await writeIdentity(join(ca.dir, 'foreign'), other)
      await refusesClient('MESH_IDENTITY_UNTRUSTED', await ca.load('foreign'))
    })

    it('refuses a certificate that names itself', () =>
      refusesClient('MESH_IDENTITY_UNTRUSTED', hostile(agent, mint({ uris: [ID] }))))

    it('refuses a chain whose intermediate is missing', async () => {
      const [leafOnly = ''] = agent.certificateChain.split(/(?<=-----END CERTIFICATE-----\n)/)
      await refusesClient('MESH_IDENTITY_UNTRUSTED', { ...agent, certificateChain: leafOnly })
    })

    it('refuses one that has expired, and one that is not valid yet', async () => {
      const root = mint({ name: 'root', pathLength: null })
      const by = trusting(gateway, root)
      const hour = 3_600_000
      const old = mint({ issuer: root, uris: [ID], notAfter: new Date(Date.now() - hour / 2) })
      await refusesClient('MESH_IDENTITY_EXPIRED', hostile(agent, old), by)
      const early = mint({ issuer: root, uris: [ID], notBefore: new Date(Date.now() + hour / 2) })
      await refusesClient('MESH_IDENTITY_NOT_YET_VALID', hostile(agent, early), by)
    })

    it('refuses names that are missing, doubled or foreign', async () => {
      const root = mint({ name: 'root', pathLength: null })
      const by = trusting(gateway, root)
      const of = (uris: string[]) => hostile(agent, mint({ issuer: root, uris }))
      await refusesClient('MESH_IDENTITY_AMBIGUOUS', of([]), by)
      await refusesClient('MESH_IDENTITY_AMBIGUOUS', of([ID, ID]), by)
      await refusesClient(
        'MESH_IDENTITY_MALFORMED',
        of(['spiffe://evil.example/tenant/acme/agent/planner']),
        by,
      )
    })

    it('refuses a certificate for servers only, a leaf as a CA, a violated name constraint', async () => {
      const root = mint({ name: 'root', pathLength: null })
      const by = trusting(gateway, root)
      const forServers = mint({ issuer: root, uris: [ID], usages: ['server'] })
      await refusesClient('MESH_IDENTITY_UNTRUSTED', hostile(agent, forServers), by)
      const leaf = mint({ name: 'leaf', issuer: root, uris: [ID] })
      await refusesClient(
        'MESH_IDENTITY_UNTRUSTED',
        hostile(agent, mint({ issuer: leaf, uris: [ID] }), leaf),
        by,
      )
      const narrow = mint({
        name: 'narrow',
        issuer: root,
        pathLength: 0,
        permittedUris: ['other.example'],
      })
      await refusesClient(
        'MESH_IDENTITY_UNTRUSTED',
        hostile(agent, mint({ issuer: narrow, uris: [ID] }), narrow),
        by,
      )
    })

    it('refuses a root that has left the bundle between handshake and reading', async () => {
      const listening = await listen(gateway)
      const options = clientTlsOptions(agent, spiffe, anybody)
      const socket = tls.connect({ ...options, port: portOf(listening), host: '127.0.0.1' })
      const [accepted]: TLSSocket[] = await once(listening, 'secureConnection')
      assert.ok(accepted !== undefined)
      const roots = trusting(
        { ...gateway, roots: [] },
        mint({ name: 'new', pathLength: null }),
      ).roots
      assert.throws(() => readPeer(accepted, { spiffe, roots }), {
        code: 'MESH_IDENTITY_UNTRUSTED',
      })
      assert.throws(() => readPeer(accepted, { spiffe, roots: [] }), {
        code: 'MESH_IDENTITY_UNTRUSTED',
      })
      socket.destroy()
      accepted.destroy()
    })

    it('reads through the proxy that node:http2 puts before a socket', async () => {
      const secure = createSecureServer(serverTlsOptions(gateway))
      followIdentity(secure, fixed(gateway))
      const found = new Promise<PeerCertificate>((resolve, reject) => {
        secure.on('session', (session) => {
          try {
            assert.ok(session.socket instanceof tls.TLSSocket)
            resolve(readPeer(session.socket, { spiffe, roots: gateway.roots }))
          } catch (error) {
            reject(error)
          }
        })
      })
      secure.listen(0, '127.0.0.1')
      await once(secure, 'listening')
      const options = clientTlsOptions(agent, spiffe, checkIsGateway)
      const client = connectHttp2(`https://127.0.0.1:${portOf(secure)}`, options)
      assert.equal((await found).identity.id, ID)
      client.close()
      await once(client, 'close')
      secure.close()
      await once(secure, 'close')
    })
  })

  describe('judging again', () => {
    it('finds fault with an end that has come and with a root that has gone, and with nothing else', async () => {
      const peer = await judgeClient(agent)
      const at = (date: Date) => date.getTime()
      assert.equal(judgePeer(peer, gateway, Date.now()), null)
      assert.equal(judgePeer(peer, gateway, at(peer.notAfter)), null)
      assert.equal(judgePeer(peer, gateway, at(peer.notAfter) + 1), 'MESH_IDENTITY_EXPIRED')
      // the clock was set back: that the certificate has begun is known already
      assert.equal(judgePeer(peer, gateway, at(peer.notBefore) - 1), null)
      assert.equal(judgePeer(peer, gateway, Number.NaN), 'MESH_IDENTITY_EXPIRED')
      assert.equal(judgePeer(peer, { roots: [] }, Date.now()), 'MESH_IDENTITY_UNTRUSTED')
      const roots = gateway.roots.map((root) => ({ ...root, notAfter: new Date(0) }))
      assert.equal(judgePeer(peer, { roots }, Date.now()), 'MESH_IDENTITY_UNTRUSTED')
    })
  })

  describe('a client', () => {
    it('takes a gateway for a gateway, by its certificate and not its address', async () => {
      let seen: PeerCertificate | null = null
      await dial(gateway, checkIsGateway, {
        onPeer: (peer) => {
          seen = peer
        },
      })
      assert.equal((seen as PeerCertificate | null)?.identity.id, gateway.identity.id)
    })

    it('sends no byte to a server that is an agent', async () => {
      await assert.rejects(dial(agent, checkIsGateway), { code: 'MESH_GATEWAY_UNTRUSTED' })
    })

    it('takes the agent it asked for, and no other', async () => {
      const planner = { tenant: 'acme', agent: 'planner' }
      await dial(agent, checkAgent(planner, 'planner.acme.mesh.internal'))
      const wrong = { code: 'MESH_PEER_MISMATCH' }
      await assert.rejects(
        dial(agent, checkAgent({ ...planner, agent: 'other' }, 'planner.acme.mesh.internal')),
        wrong,
      )
      await assert.rejects(
        dial(agent, checkAgent({ ...planner, tenant: 'globex' }, 'planner.acme.mesh.internal')),
        wrong,
      )
      await assert.rejects(dial(agent, checkAgent(planner, 'other.acme.mesh.internal')), wrong)
      // the wildcard in a gateway's certificate makes it no agent
      await assert.rejects(dial(gateway, checkAgent(planner, 'planner.acme.mesh.internal')), wrong)
    })

    it('can tell why, by the code of the mesh', async () => {
      const root = mint({ name: 'root', pathLength: null })
      const as = trusting(agent, root)
      const verdict = async (leaf: Minted): Promise<ErrorCode | undefined> => {
        const failure = await dial(hostile(gateway, leaf), anybody, {}, as).catch(handshakeFailure)
        return failure instanceof MeshError ? failure.code : undefined
      }
      const id = gateway.identity.id
      assert.equal(await verdict(mint({ uris: [id] })), 'MESH_IDENTITY_UNTRUSTED')
      assert.equal(await verdict(mint({ issuer: root, uris: [] })), 'MESH_IDENTITY_AMBIGUOUS')
      assert.equal(
        await verdict(mint({ issuer: root, uris: [id], usages: ['client'] })),
        'MESH_IDENTITY_UNTRUSTED',
      )
      const past = new Date(Date.now() - 1_000)
      assert.equal(
        await verdict(mint({ issuer: root, uris: [id], notAfter: past })),
        'MESH_IDENTITY_EXPIRED',
      )
      assert.equal(handshakeFailure(new Error('read ECONNRESET')), null)
    })

    it('survives a check that throws something odd', async () => {
      await assert.rejects(
        dial(gateway, () => {
          throw 'a string'
        }),
        { code: 'MESH_IDENTITY_UNTRUSTED' },
      )
    })

    it('sends the server name it is given, and none otherwise', async () => {
      const socket = await dial(gateway, checkIsGateway, { servername: 'gateway.mesh.internal' })
      assert.equal(Reflect.get(socket, 'servername'), 'gateway.mesh.internal')
      assert.equal(Reflect.get(await dial(gateway, checkIsGateway), 'servername'), false)
    })
  })

  describe('the options', () => {
    it('are refused for a snapshot without roots, which would trust every public CA', () => {
      assert.throws(() => serverTlsOptions({ ...gateway, roots: [] }), TypeError)
      assert.throws(() => clientTlsOptions({ ...agent, roots: [] }, spiffe, anybody), TypeError)
    })

    it('speak TLS 1.3 only, on both sides, also after the certificate has changed', async () => {
      const listening = await listen(gateway)
      for (let round = 0; round < 2; round += 1) {
        const old = tls.connect({
          ...clientTlsOptions(agent, spiffe, anybody),
          minVersion: 'TLSv1.2',
          maxVersion: 'TLSv1.2',
          port: portOf(listening),
          host: '127.0.0.1',
        })
        const [error]: NodeJS.ErrnoException[] = await once(old, 'error')
        assert.match(error?.code ?? '', /PROTOCOL_VERSION/)
        listening.setSecureContext(serverTlsOptions(gateway))
      }
      const legacy = tls.createServer({
        ...serverTlsOptions(gateway),
        minVersion: 'TLSv1.2',
        maxVersion: 'TLSv1.2',
      })
      legacy.on('tlsClientError', () => {})
      legacy.listen(0, '127.0.0.1')
      await once(legacy, 'listening')
      const client = tls.connect({
        ...clientTlsOptions(agent, spiffe, anybody),
        port: portOf(legacy),
        host: '127.0.0.1',
      })
      await once(client, 'error')
      legacy.close()
      await once(legacy, 'close')
    })

    it('allow no resumption: whatever ticket is presented, the next handshake is a whole one', async () => {
      const listening = await listen(gateway)
      const reused: boolean[] = []
      listening.on('secureConnection', (accepted: TLSSocket) => {
        reused.push(accepted.isSessionReused())
        accepted.end('bye')
      })
      const tickets: Buffer[] = []
      let kept: Buffer | undefined
      for (let round = 0; round < 2; round += 1) {
        const { secureOptions: _, ...eager } = clientTlsOptions(agent, spiffe, checkIsGateway)
        // what there is without a ticket
        const session = tickets[0] ?? kept
        const socket = tls.connect({
          ...eager,
          ...(session === undefined ? {} : { session }),
          port: portOf(listening),
          host: '127.0.0.1',
        })
        socket.on('session', (ticket) => tickets.push(ticket))
        socket.resume()
        await once(socket, 'close')
        kept = socket.getSession()
      }
      assert.deepEqual(reused, [false, false])
    })
  })

  describe('a server that follows', () => {
    it('shows the new certificate to new connections, trusts the new roots, and keeps the old ones open', async () => {
      await ca.issue('following', 'gateway')
      const store = await ca.open('following')
      const following = tls.createServer(serverTlsOptions(store.current()))
      const end = followIdentity(following, store)
      following.on('secureConnection', (socket: TLSSocket) => socket.pipe(socket))
      following.listen(0, '127.0.0.1')
      await once(following, 'listening')
      const connect = async () => {
        let shown = ''
        const options = clientTlsOptions(agent, spiffe, checkIsGateway, {
          onPeer: (peer) => {
            shown = peer.fingerprint
          },
        })
        const socket = tls.connect({ ...options, port: portOf(following), host: '127.0.0.1' })
        await once(socket, 'secureConnect')
        return { socket, shown }
      }
      const old = await connect()
      assert.equal(old.shown, store.current().fingerprint)
      const changed = new Promise((resolve) => store.onChange(resolve))
      await ca.issue('following', 'gateway')
      await changed
      const fresh = await connect()
      assert.equal(fresh.shown, store.current().fingerprint)
      assert.notEqual(fresh.shown, old.shown)
      old.socket.write('still here')
      const [echo] = await once(old.socket, 'data')
      assert.equal(String(echo), 'still here')
      old.socket.destroy()
      fresh.socket.destroy()
      following.close()
      await once(following, 'close')
      end()
    })
  })

  describe('checks of who somebody is', () => {
    const peerOf = (snapshot: IdentitySnapshot): PeerCertificate => ({
      ...snapshot,
      serial: '01',
      rootFingerprint: snapshot.roots[0]?.fingerprint ?? '',
      anchor: snapshot.roots[0]?.anchor ?? '',
      links: [],
    })

    it('tell agents from gateways', () => {
      assert.deepEqual(checkIsAgent(peerOf(agent)), { tenant: 'acme', agent: 'planner' })
      assert.throws(() => checkIsAgent(peerOf(gateway)), { code: 'MESH_IDENTITY_NOT_AGENT' })
      checkFromGateway(peerOf(gateway))
      assert.throws(() => checkFromGateway(peerOf(agent)), { code: 'MESH_IDENTITY_NOT_GATEWAY' })
      checkIsGateway(peerOf(gateway))
      assert.throws(() => checkIsGateway(peerOf(agent)), { code: 'MESH_GATEWAY_UNTRUSTED' })
    })
  })
})
