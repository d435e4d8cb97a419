/** The options of TLS, each of them, and who is let through by them; without a network. */
import assert from 'node:assert/strict'
import { constants, generateKeyPairSync, type X509Certificate } from 'node:crypto'
import type { PeerCertificate as NodePeerCertificate } from 'node:tls'
import { MeshError } from '@clawmesh/proto'
import { checkIsGatewayFor } from '../../../agent-sdk/src/tls/gateway-scope.ts'
import { dangerousCurve } from '../../../agent-sdk/src/tls/key-curve.ts'
import type { PeerCertificate } from '../../../agent-sdk/src/tls/peer-certificate.ts'
import {
  checkAgent,
  checkFromGateway,
  checkIsAgent,
  checkIsGateway,
} from '../../../agent-sdk/src/tls/peer-checks.ts'
import {
  clientTlsOptions,
  contextOptions,
  egressPortTlsOptions,
  serverTlsOptions,
} from '../../../agent-sdk/src/tls/tls-options.ts'
import { spiffe } from '../../support/test-ca.ts'
import { type Minted, mint } from './mint.ts'
import { PLANNER, rootsOf, snapshotOf } from './present.ts'

const GATEWAY = 'spiffe://mesh.internal/gateway/gw'
const root = mint({ name: 'root', pathLength: null })
const int = mint({ name: 'int', issuer: root, pathLength: 0 })
const agent = mint({ issuer: int, uris: [PLANNER], dnsNames: ['planner.acme.mesh.internal'] })
const gateway = mint({
  issuer: int,
  uris: [GATEWAY],
  dnsNames: ['gw.test', '*.acme.mesh.internal'],
})
const snapshot = snapshotOf(rootsOf(root), agent, int)

/** As Node hands a chain to `checkServerIdentity`. A root is its own issuer there. */
function nodeChain(leaf: Minted, ...issuers: readonly Minted[]): NodePeerCertificate {
  const [next, ...rest] = issuers
  const own = leaf.certificate.toLegacyObject()
  return Object.assign(own, {
    issuerCertificate: next === undefined ? own : nodeChain(next, ...rest),
  })
}
const codeOf = (error: Error | undefined) => (error instanceof MeshError ? error.code : error)

describe('the options of TLS', () => {
  const context = {
    ...{ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', secureOptions: constants.SSL_OP_NO_TICKET },
    ...{ cert: agent.pem + int.pem, key: agent.keyPem, ca: [root.pem] },
  }

  it('are those of the certificate, its key and the bundle, and TLS 1.3 without tickets', () => {
    assert.deepEqual(contextOptions(snapshot), context)
    assert.throws(() => contextOptions({ ...snapshot, roots: [] }), TypeError)
  })

  it('of a server ask for a certificate and let everybody in, for HTTP/2, within ten seconds', () => {
    const { rejectUnauthorized, ...options } = serverTlsOptions(snapshot)
    // the gate of the mesh says why somebody is refused
    assert.equal(rejectUnauthorized, false)
    assert.deepEqual(options, {
      ...{ ...context, requestCert: true },
      ...{ ALPNProtocols: ['h2'], handshakeTimeout: 10_000 },
    })
    const chosen = serverTlsOptions(snapshot, { alpn: ['http/1.1'], handshakeTimeoutMs: 7 })
    assert.deepEqual([chosen.ALPNProtocols, chosen.handshakeTimeout], [['http/1.1'], 7])
  })

  it('of a client refuse who is not authorized, and send no name unless one is given', () => {
    const { checkServerIdentity, ...options } = clientTlsOptions(snapshot, spiffe, () => {})
    assert.equal(typeof checkServerIdentity, 'function')
    assert.deepEqual(options, {
      ...context,
      ...{ rejectUnauthorized: true, ALPNProtocols: ['h2'], servername: '' },
    })
    const chosen = clientTlsOptions(snapshot, spiffe, () => {}, { servername: 'a.test', alpn: [] })
    assert.deepEqual([chosen.servername, chosen.ALPNProtocols], ['a.test', []])
  })

  it('of the egress port trust a bundle of its own beside that of the mesh', () => {
    const of = (host: string, ca?: string) => {
      const check = () => {}
      const { checkServerIdentity: _, ...options } = egressPortTlsOptions(snapshot, {
        ...{ host, spiffe, check },
        ca,
      })
      return options
    }
    const own = { rejectUnauthorized: true, ALPNProtocols: ['http/1.1'] }
    assert.deepEqual(of('gw.test'), { ...context, ...own, servername: 'gw.test' })
    assert.deepEqual(of('gw.test', 'PEM').ca, [root.pem, 'PEM'])
    // an address is no server name (RFC 6066, section 3)
    for (const address of ['192.0.2.1', '2001:db8::1']) assert.equal(of(address).servername, '')
  })
})

describe('a client of the mesh', () => {
  const judged = (
    chain: NodePeerCertificate,
    check: (peer: PeerCertificate) => void,
    more: { now?: () => number; onPeer?: (peer: PeerCertificate) => void } = {},
  ) => {
    const { checkServerIdentity } = clientTlsOptions(snapshot, spiffe, check, more)
    assert.ok(checkServerIdentity)
    return checkServerIdentity('whatever', chain)
  }

  it('takes a server for what its certificate says, whatever its name is', () => {
    const seen: string[] = []
    const onPeer = ({ identity }: PeerCertificate) => void seen.push(identity.id)
    assert.equal(judged(nodeChain(gateway, int, root), checkIsGateway, { onPeer }), undefined)
    assert.deepEqual(seen, [GATEWAY])
    assert.equal(judged(nodeChain(gateway, int), checkIsGateway), undefined)
    // of a chain without its root, the last certificate names no issuer
    for (const issuerCertificate of [undefined, null]) {
      const open = nodeChain(gateway, int)
      Reflect.set(Reflect.get(open, 'issuerCertificate'), 'issuerCertificate', issuerCertificate)
      assert.equal(judged(open, checkIsGateway), undefined)
    }
    assert.equal(
      codeOf(judged(nodeChain(agent, int), checkIsGateway, { onPeer })),
      'MESH_GATEWAY_UNTRUSTED',
    )
    assert.deepEqual(seen, [GATEWAY])
  })

  it('refuses a chain that leads nowhere, has ended, or is none', () => {
    const refused = (chain: NodePeerCertificate, now = Date.now) =>
      codeOf(judged(chain, () => {}, { now }))
    assert.equal(refused(nodeChain(gateway)), 'MESH_IDENTITY_UNTRUSTED')
    assert.equal(
      refused(nodeChain(gateway, int), () => Date.now() + 7_200_000),
      'MESH_IDENTITY_EXPIRED',
    )
    const bare = nodeChain(gateway, int)
    Reflect.deleteProperty(bare, 'raw')
    assert.equal(refused(bare), 'MESH_IDENTITY_NO_CERTIFICATE')
    // longer than any chain, and without an end
    const endless = nodeChain(gateway, ...Array<Minted>(20).fill(int))
    assert.equal(refused(endless), 'MESH_IDENTITY_UNTRUSTED')
  })

  it('takes what a check throws for a refusal, whatever it is', () => {
    const failing = (what: unknown) =>
      judged(nodeChain(gateway, int), () => {
        throw what
      })
    const own = new Error('own')
    assert.equal(failing(own), own)
    assert.equal(codeOf(failing('a text')), 'MESH_IDENTITY_UNTRUSTED')
  })
})

describe('a client of the egress port', () => {
  const judged = (host: string, chain: NodePeerCertificate, tenant = 'acme') => {
    const check = checkIsGatewayFor(tenant, 'mesh.internal')
    const { checkServerIdentity } = egressPortTlsOptions(snapshot, { host, spiffe, check })
    assert.ok(checkServerIdentity)
    return checkServerIdentity(host, chain)
  }
  const misnamed = { code: 'ERR_TLS_CERT_ALTNAME_INVALID' }

  it('takes a certificate for the host, or one of a gateway of its tenant', () => {
    assert.equal(judged('gw.test', nodeChain(gateway, int)), undefined)
    assert.equal(judged('other.test', nodeChain(gateway, int)), undefined)
    // one that names the host, by whomever: TLS has verified the chain
    assert.equal(judged('host.test', nodeChain(mint({ dnsNames: ['host.test'] }))), undefined)
    for (const error of [
      judged('other.test', nodeChain(gateway, int), 'globex'),
      judged('other.test', nodeChain(agent, int)),
      judged('other.test', nodeChain(gateway)),
      judged('other.test', nodeChain(mint({ dnsNames: ['host.test'] }))),
    ])
      assert.equal(error !== undefined && 'code' in error ? error.code : null, misnamed.code)
  })
})

describe('the kind of a peer', () => {
  const of = (identity: PeerCertificate['identity']): PeerCertificate => ({
    ...{ identity, dnsNames: [], notBefore: new Date(0), notAfter: new Date(1) },
    ...{ fingerprint: '', serial: '', rootFingerprint: '', anchor: '', links: [] },
  })
  const [planner, gw] = [of(spiffe.agent('acme', 'planner')), of(spiffe.gateway('gw'))]

  it('is that of its identity', () => {
    assert.deepEqual(checkIsAgent(planner), { tenant: 'acme', agent: 'planner' })
    assert.throws(() => checkIsAgent(gw), { code: 'MESH_IDENTITY_NOT_AGENT' })
    checkFromGateway(gw)
    assert.throws(() => checkFromGateway(planner), { code: 'MESH_IDENTITY_NOT_GATEWAY' })
    checkIsGateway(gw)
    assert.throws(() => checkIsGateway(planner), { code: 'MESH_GATEWAY_UNTRUSTED' })
  })
})

describe('the certificate of one agent', () => {
  const peer = (more: Partial<PeerCertificate> = {}): PeerCertificate => ({
    ...{ identity: spiffe.agent('acme', 'planner'), dnsNames: ['planner.acme.mesh.internal'] },
    ...{ notBefore: new Date(0), notAfter: new Date(1), fingerprint: '', serial: '' },
    ...{ rootFingerprint: '', anchor: '', links: [] },
    ...more,
  })
  const check = checkAgent({ tenant: 'acme', agent: 'planner' }, 'planner.acme.mesh.internal')

  it('names it, by its identity and by the name that was asked for', () => {
    check(peer())
    const mismatch = (message: RegExp) => ({ code: 'MESH_PEER_MISMATCH', message })
    for (const identity of [
      spiffe.agent('acme', 'other'),
      spiffe.agent('globex', 'planner'),
      spiffe.gateway('planner'),
    ])
      assert.throws(
        () => check(peer({ identity })),
        mismatch(/^asked for planner\.acme.*, the peer is spiffe/),
      )
    for (const dnsNames of [[], ['*.acme.mesh.internal'], ['xplanner.acme.mesh.internal']])
      assert.throws(
        () => check(peer({ dnsNames })),
        mismatch(/lacks planner\.acme\.mesh\.internal$/),
      )
  })
})

describe('a key that ends Node', () => {
  const of = (publicKey: X509Certificate['publicKey']) => dangerousCurve({ publicKey })
  it('is one on a curve that NIST has not named', () => {
    for (const namedCurve of ['prime192v1', 'secp224r1', 'prime256v1', 'secp384r1', 'secp521r1'])
      assert.equal(of(generateKeyPairSync('ec', { namedCurve }).publicKey), null)
    for (const namedCurve of ['secp256k1', 'brainpoolP256r1'])
      assert.equal(of(generateKeyPairSync('ec', { namedCurve }).publicKey), namedCurve)
    assert.equal(of(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey), null)
    assert.equal(of(generateKeyPairSync('ed25519').publicKey), null)
  })
})
