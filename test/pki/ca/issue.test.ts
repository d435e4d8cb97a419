import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { inspect } from 'node:util'
import { type Ca, initCa, openCa } from '@clawmesh/pki'
import { parseCertificates } from '../../../pki/src/x509/parse-certificate.ts'
import { makeCa, makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

const HOUR_MS = 3_600_000

describe('issuing', () => {
  let scratch: Scratch
  let ca: Ca
  before(async () => {
    scratch = await makeScratch()
    ca = await makeCa(scratch.path('ca'))
  })
  after(() => scratch.remove())

  const leafOf = (chain: string) => {
    const [leaf] = parseCertificates(chain)
    assert.ok(leaf)
    return leaf
  }

  it('gives an agent exactly one URI and its peer name', () => {
    const leaf = leafOf(ca.issueAgent({ tenant: 'acme', agent: 'planner' }).certificateChain)
    assert.deepEqual(leaf.names, {
      uris: ['spiffe://mesh.internal/tenant/acme/agent/planner'],
      dnsNames: ['planner.acme.mesh.internal'],
      ipAddresses: [],
      others: [],
    })
    assert.equal(leaf.isCa, false)
  })

  it('gives a gateway its names and a wildcard for each tenant', () => {
    const issued = ca.issueGateway({ name: 'gw', tenants: ['acme', 'globex'] })
    const { names } = leafOf(issued.certificateChain)
    assert.deepEqual(names.uris, ['spiffe://mesh.internal/gateway/gw'])
    assert.deepEqual(names.dnsNames, [
      'gw.mesh.internal',
      'gateway.mesh.internal',
      '*.acme.mesh.internal',
      '*.globex.mesh.internal',
    ])
  })

  it('makes a fresh key each time, which fits the certificate and cannot be printed', () => {
    const first = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    const second = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    assert.notEqual(first.privateKey.reveal(), second.privateKey.reveal())
    assert.doesNotMatch(inspect(first, { depth: null }) + JSON.stringify(first), /PRIVATE KEY/)
  })

  it('gives 24 hours, backdated by a minute', () => {
    const before = Math.floor(Date.now() / 1000) * 1000
    const { notBefore, notAfter } = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    assert.equal(notAfter.getTime() - notBefore.getTime(), 24 * HOUR_MS + 60_000)
    assert.ok(notAfter.getTime() - before - 24 * HOUR_MS <= 5000)
  })

  it('makes what has expired already when a test asks for it', () => {
    const notBefore = new Date(Date.now() - 2 * HOUR_MS)
    const { notAfter } = ca.issueAgent({
      tenant: 'acme',
      agent: 'planner',
      notBefore,
      ttlMs: HOUR_MS,
    })
    assert.ok(notAfter.getTime() < Date.now())
  })

  it('never outlives the intermediate', () => {
    const { notAfter } = ca.issueAgent({ tenant: 'acme', agent: 'planner', ttlMs: 9e12 })
    assert.deepEqual(notAfter, ca.info.intermediate.notAfter)
  })

  it('issues nothing before or after the life of the intermediate', async () => {
    for (const shift of [-HOUR_MS, 366 * 24 * HOUR_MS]) {
      const now = () => Date.now() + shift
      const late = await openCa({ dir: scratch.path('ca'), passphrase: PASSPHRASE, now })
      assert.throws(() => late.issueAgent({ tenant: 'acme', agent: 'planner' }), {
        code: 'MESH_PKI_INVALID',
      })
    }
  })

  it('writes positive serial numbers of 16 bytes that do not repeat', () => {
    const serials = Array.from({ length: 50 }, () => {
      const { certificateChain } = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
      return new X509Certificate(certificateChain).serialNumber
    })
    assert.equal(new Set(serials).size, 50)
    for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/)
  })

  it('refuses names that are not lower-case DNS labels', () => {
    for (const name of [
      '',
      'A',
      'a.b',
      'a/b',
      '*',
      'a b',
      '-a',
      'a-',
      'ä',
      'a\0b',
      'x'.repeat(64),
    ]) {
      const refused = { code: 'MESH_PKI_NAME_REFUSED' }
      assert.throws(() => ca.issueAgent({ tenant: 'acme', agent: name }), refused, name)
      assert.throws(() => ca.issueAgent({ tenant: name, agent: 'a' }), refused, name)
      assert.throws(() => ca.issueGateway({ name, tenants: [] }), refused, name)
      assert.throws(() => ca.issueGateway({ name: 'gw', tenants: [name] }), refused, name)
    }
  })

  it('refuses an agent the names of others, wildcards, and what the CA does not permit', () => {
    for (const name of [
      'researcher.acme.mesh.internal',
      'gateway.mesh.internal',
      'acme.mesh.internal',
      '*.acme.mesh.internal',
      'www.example.com',
      'localhost',
      'evil-mesh.internal',
    ])
      assert.throws(
        () => ca.issueAgent({ tenant: 'acme', agent: 'planner', extraDnsNames: [name] }),
        { code: 'MESH_PKI_NAME_REFUSED' },
        name,
      )
    for (const address of ['127.0.0.1', '::1', '10.0.0.1', 'localhost'])
      assert.throws(
        () => ca.issueAgent({ tenant: 'acme', agent: 'planner', ipAddresses: [address] }),
        { code: 'MESH_PKI_NAME_REFUSED' },
        address,
      )
    ca.issueAgent({
      tenant: 'acme',
      agent: 'planner',
      extraDnsNames: ['a.planner.acme.mesh.internal'],
    })
  })

  it('gives further names where the CA was made to permit them', async () => {
    const dir = scratch.path('wide')
    await initCa({
      dir,
      trustDomain: 'mesh.internal',
      meshDomain: 'svc.cluster.local',
      passphrase: PASSPHRASE,
      permitDnsDomains: ['localhost'],
      permitIpRanges: ['127.0.0.0/8', '::1/128'],
    })
    const wide = await openCa({ dir, passphrase: PASSPHRASE })
    const issued = wide.issueGateway({
      name: 'gw',
      tenants: ['acme'],
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1', '::1'],
    })
    const { names } = leafOf(issued.certificateChain)
    assert.ok(names.dnsNames.includes('*.acme.svc.cluster.local'))
    assert.ok(names.dnsNames.includes('localhost'))
    assert.deepEqual(
      names.ipAddresses.map((each) => each.length),
      [4, 16],
    )
    assert.throws(() => wide.issueGateway({ name: 'gw', tenants: [], ipAddresses: ['10.0.0.1'] }), {
      code: 'MESH_PKI_NAME_REFUSED',
    })
  })

  it('throws TypeError for a life that is none', () => {
    for (const ttlMs of [0, -1, Number.NaN, 10])
      assert.throws(() => ca.issueAgent({ tenant: 'acme', agent: 'planner', ttlMs }), TypeError)
  })
})
