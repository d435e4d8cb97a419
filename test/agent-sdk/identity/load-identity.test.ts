import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadIdentity, readTrustDomain } from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate, type ErrorCode, MeshError } from '@clawmesh/proto'
import { leftOpen, openResources } from '../../support/closes-everything.ts'
import { hasNamedPipes, makeNamedPipe } from '../../support/named-pipe.ts'
import { issueBy, makeTestCa, spiffe, type TestCa } from '../../support/test-ca.ts'
import { withoutPrivileges } from '../../support/without-privileges.ts'
import { altNames, type Minted, mint, subject } from '../tls/mint.ts'

const ID = 'spiffe://mesh.internal/tenant/acme/agent/planner'
const HOUR = 3_600_000

const root = mint({ name: 'root', pathLength: null })
const intermediate = mint({ name: 'intermediate', issuer: root, pathLength: 0 })
const leaf = mint({ issuer: intermediate, uris: [ID], dnsNames: ['planner.acme.mesh.internal'] })

interface Files {
  readonly crt?: string | Buffer
  readonly key?: string | Buffer
  readonly ca?: string | Buffer
}

describe('loading an identity', () => {
  let base: string
  let ca: TestCa
  before(async () => {
    base = await mkdtemp(join(tmpdir(), 'clawmesh-load-'))
    ca = await makeTestCa()
  })
  after(async () => {
    await rm(base, { recursive: true, force: true })
    await ca.close()
  })

  async function write(files: Files = {}): Promise<string> {
    const dir = await mkdtemp(join(base, 'id-'))
    await writeFile(join(dir, 'tls.crt'), files.crt ?? leaf.pem + intermediate.pem)
    await writeFile(join(dir, 'tls.key'), files.key ?? leaf.keyPem)
    await writeFile(join(dir, 'ca.crt'), files.ca ?? root.pem)
    return dir
  }

  async function refused(code: ErrorCode, files: Files, message?: RegExp): Promise<void> {
    const dir = await write(files)
    await assert.rejects(loadIdentity(dir, { spiffe }), (error) => {
      assert.ok(error instanceof MeshError, String(error))
      assert.equal(error.code, code)
      if (message !== undefined) assert.match(error.message, message)
      assert.doesNotMatch(JSON.stringify(error) + error.message, /PRIVATE KEY/)
      return true
    })
  }

  it('gives what the files of mesh-pki say, for agents and gateways', async () => {
    await ca.issue('planner', 'planner')
    await ca.issue('gw', 'gateway')
    const agent = await ca.load('planner')
    assert.equal(agent.identity.id, ID)
    assert.equal(agent.generation, 1)
    assert.deepEqual(agent.dnsNames, ['planner.acme.mesh.internal'])
    assert.equal(agent.roots.length, 1)
    assert.match(agent.fingerprint, /^[0-9a-f]{64}$/)
    assert.equal(agent.certificateChain.match(/BEGIN CERTIFICATE/g)?.length, 2)
    assert.equal((await ca.load('gw')).identity.kind, 'gateway')
    assert.equal(await readTrustDomain(join(ca.dir, 'planner')), 'mesh.internal')
  })

  it('never shows the private key', async () => {
    const snapshot = await loadIdentity(await write(), { spiffe })
    assert.doesNotMatch(JSON.stringify(snapshot), /PRIVATE KEY/)
    assert.match(snapshot.privateKey.reveal(), /^-----BEGIN PRIVATE KEY-----/)
  })

  it('takes RSA, Ed25519 and the old form of EC keys', async () => {
    for (const key of [
      generateKeyPairSync('rsa', { modulusLength: 2048 }),
      generateKeyPairSync('ed25519'),
      generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ]) {
      const other = mint({ issuer: intermediate, uris: [ID], key })
      await loadIdentity(await write({ crt: other.pem + intermediate.pem, key: other.keyPem }), {
        spiffe,
      })
    }
    const old = leaf.privateKey.export({ type: 'sec1', format: 'pem' })
    await loadIdentity(await write({ key: old }), { spiffe })
  })

  it('takes several roots, comments between them and other line ends', async () => {
    const second = mint({ name: 'second', pathLength: null })
    const ca = `# the old one\n${root.pem}\n# the new one\n${second.pem}`.replaceAll('\n', '\r\n')
    const snapshot = await loadIdentity(await write({ ca }), { spiffe })
    assert.equal(snapshot.roots.length, 2)
  })

  it('puts the chain in order, the leaf first and what leads nowhere last, since Node as a client needs it so', async () => {
    const stranger = mint({ name: 'stranger', pathLength: null })
    const crt = leaf.pem + stranger.pem + intermediate.pem
    const { certificateChain } = await loadIdentity(await write({ crt }), { spiffe })
    const found = certificateChain.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []
    assert.deepEqual(
      found.map((pem) => new X509Certificate(pem).fingerprint256),
      [leaf, intermediate, stranger].map(({ pem }) => new X509Certificate(pem).fingerprint256),
    )
  })

  it('takes a certificate from its first millisecond to its last, by the clock that it is given', async () => {
    const second = (fromNowMs: number) =>
      new Date(Math.floor((Date.now() + fromNowMs) / 1000) * 1000)
    const life = { notBefore: second(-HOUR / 2), notAfter: second(HOUR / 2) }
    const other = mint({ issuer: intermediate, uris: [ID], ...life })
    const dir = await write({ crt: other.pem + intermediate.pem, key: other.keyPem })
    const [begins, ends] = [life.notBefore.getTime(), life.notAfter.getTime()]
    for (const at of [begins, ends]) {
      const snapshot = await loadIdentity(dir, { spiffe, now: () => at })
      assert.deepEqual([snapshot.notBefore, snapshot.notAfter], [life.notBefore, life.notAfter])
    }
    await assert.rejects(loadIdentity(dir, { spiffe, now: () => begins - 1 }), {
      code: 'MESH_IDENTITY_NOT_YET_VALID',
      message: `the certificate is valid from ${life.notBefore.toISOString()}`,
    })
    await assert.rejects(loadIdentity(dir, { spiffe, now: () => ends + 1 }), {
      code: 'MESH_IDENTITY_EXPIRED',
      message: `the certificate expired at ${life.notAfter.toISOString()}`,
    })
  })

  it('counts a root once that stands in ca.crt twice', async () => {
    const { roots } = await loadIdentity(await write({ ca: root.pem + root.pem }), { spiffe })
    assert.deepEqual(
      roots.map(({ pem, notAfter }) => [pem, notAfter]),
      [[root.certificate.toString(), root.certificate.validToDate]],
    )
    assert.match(roots[0]?.anchor ?? '', /^[0-9a-f]{64}$/)
  })

  describe('reads the trust domain alone', () => {
    const domain = async (uris: readonly string[], more: object = {}) => {
      const other = mint({ issuer: intermediate, uris, ...more })
      return readTrustDomain(await write({ crt: other.pem, key: other.keyPem }))
    }

    it('of any certificate that names one, good or not', async () => {
      assert.equal(await domain([ID]), 'mesh.internal')
      assert.equal(await domain(['spiffe://other-1.example/x']), 'other-1.example')
      const past = { notBefore: new Date(0), notAfter: new Date(1000) }
      assert.equal(await domain([ID], past), 'mesh.internal')
    })

    it('and refuses one that names none, two, or something else', async () => {
      for (const uris of [[], [ID, ID]])
        await assert.rejects(domain(uris), { code: 'MESH_IDENTITY_AMBIGUOUS' })
      for (const uri of [
        'https://mesh.internal/x',
        `x${ID}`,
        'spiffe://mesh.internal',
        'spiffe:///x',
        'spiffe://Mesh/x',
        'spiffe://me_sh/x',
      ])
        await assert.rejects(domain([uri]), { code: 'MESH_IDENTITY_MALFORMED' })
    })
  })

  it('takes the SVIDs of others by their path', async () => {
    const other = mint({
      issuer: intermediate,
      uris: ['spiffe://mesh.internal/ns/acme/sa/planner'],
    })
    const dir = await write({ crt: other.pem + intermediate.pem, key: other.keyPem })
    const istio = createSpiffeTemplate({
      trustDomain: 'mesh.internal',
      agentPath: '/ns/{tenant}/sa/{agent}',
    })
    const { identity } = await loadIdentity(dir, { spiffe: istio })
    assert.ok(identity.kind === 'agent' && identity.tenant === 'acme')
  })

  describe('refuses', () => {
    it('an empty, blank or commented-out ca.crt, which would make Node trust every public CA', async () => {
      for (const ca of ['', '\n\n', '# nothing yet\n', '\0\0\0'])
        await refused('MESH_IDENTITY_INVALID', { ca }, /ca.crt: holds no certificate/)
    })

    it('files that are torn at any place', async () => {
      const torn = (text: string, part: number) => text.slice(0, Math.floor(text.length * part))
      for (const part of [0.01, 0.2, 0.5, 0.9, 0.95, 0.97]) {
        await refused('MESH_IDENTITY_INVALID', { ca: torn(root.pem, part) })
        await refused('MESH_IDENTITY_INVALID', { crt: torn(leaf.pem, part) })
        await refused('MESH_IDENTITY_INVALID', { key: torn(leaf.keyPem, part) })
      }
    })

    it('PEM blocks that are something else, damaged or followed by bytes', async () => {
      await refused('MESH_IDENTITY_INVALID', { ca: leaf.keyPem }, /not a certificate/)
      await refused('MESH_IDENTITY_INVALID', { crt: leaf.pem + leaf.keyPem }, /not a certificate/)
      await refused('MESH_IDENTITY_INVALID', { ca: root.pem.replace(/M/g, '!') }, /damaged/)
      await refused('MESH_IDENTITY_INVALID', {
        ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      })
      const longer = Buffer.concat([root.certificate.raw, Buffer.from([0])]).toString('base64')
      await refused('MESH_IDENTITY_INVALID', {
        ca: `-----BEGIN CERTIFICATE-----\n${longer}\n-----END CERTIFICATE-----\n`,
      })
    })

    it('a bundle with something in it that is no root', async () => {
      await refused('MESH_IDENTITY_INVALID', { ca: root.pem + leaf.pem }, /not a CA/)
      await refused('MESH_IDENTITY_INVALID', { ca: root.pem + intermediate.pem }, /not a root/)
    })

    it('a key of somebody else, an encrypted key, a public key', async () => {
      const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const key = other.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
      await refused('MESH_IDENTITY_INVALID', { key }, /does not fit/)
      const encrypted = leaf.privateKey
        .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
        .toString()
      await refused('MESH_IDENTITY_INVALID', { key: encrypted }, /unencrypted/)
      const open = leaf.publicKey.export({ type: 'spki', format: 'pem' }).toString()
      await refused('MESH_IDENTITY_INVALID', { key: open }, /unencrypted/)
    })

    const made = (options: Parameters<typeof mint>[0]) => {
      const other = mint({ issuer: intermediate, uris: [ID], ...options })
      return { crt: other.pem + intermediate.pem, key: other.keyPem }
    }

    it('a certificate that has expired or is not valid yet', async () => {
      const past = new Date(Date.now() - HOUR)
      const future = new Date(Date.now() + HOUR)
      await refused('MESH_IDENTITY_EXPIRED', made({ notBefore: new Date(0), notAfter: past }))
      await refused('MESH_IDENTITY_NOT_YET_VALID', made({ notBefore: future, notAfter: future }))
    })

    it('a chain that does not lead to a root of ca.crt', async () => {
      const other = mint({ name: 'root', pathLength: null })
      await refused('MESH_IDENTITY_UNTRUSTED', { ca: other.pem })
      await refused('MESH_IDENTITY_UNTRUSTED', { crt: leaf.pem })
    })

    it('a chain through an expired intermediate or to an expired root', async () => {
      const life = {
        notBefore: new Date(Date.now() - 2 * HOUR),
        notAfter: new Date(Date.now() - HOUR),
      }
      const oldRoot = mint({ name: 'old', pathLength: null, ...life })
      const direct = mint({ issuer: oldRoot, uris: [ID] })
      await refused('MESH_IDENTITY_EXPIRED', {
        crt: direct.pem,
        key: direct.keyPem,
        ca: oldRoot.pem,
      })
      const old = mint({ name: 'old', issuer: root, pathLength: 0, ...life })
      const below = mint({ issuer: old, uris: [ID] })
      await refused('MESH_IDENTITY_EXPIRED', { crt: below.pem + old.pem, key: below.keyPem })
    })

    it('a CA that has ended by the file that it stands in, and the one of several that has', async () => {
      const ended = (name: string, issuer?: Minted) =>
        mint({
          ...{ name, pathLength: null, notBefore: new Date(Date.now() - 2 * HOUR) },
          ...{ notAfter: new Date(Date.now() - HOUR), ...(issuer === undefined ? {} : { issuer }) },
        })
      const old = ended('old', root)
      const below = mint({ issuer: old, uris: [ID], notBefore: new Date(Date.now() - 2 * HOUR) })
      const end = (one: Minted) => one.certificate.validToDate.toISOString()
      const files = { crt: below.pem + intermediate.pem + old.pem, key: below.keyPem }
      const expired = (message: string) => ({ code: 'MESH_IDENTITY_EXPIRED', message })
      const hint = /renew that CA, issue the certificate again/
      await assert.rejects(loadIdentity(await write(files), { spiffe }), {
        ...expired(`an intermediate in tls.crt ended at ${end(old)}`),
        hint,
      })
      const oldRoot = ended('old root')
      const direct = mint({ issuer: oldRoot, uris: [ID] })
      const own = { crt: direct.pem, key: direct.keyPem, ca: root.pem + oldRoot.pem }
      await assert.rejects(
        loadIdentity(await write(own), { spiffe }),
        expired(`a root in ca.crt ended at ${end(oldRoot)}`),
      )
      // by a clock that is behind that of TLS nothing has ended: then TLS is quoted
      const now = () => Date.now() - 1.5 * HOUR
      await assert.rejects(
        loadIdentity(await write(files), { spiffe, now }),
        expired('the certificate of the other side expired'),
      )
    })

    it('a chain that leads nowhere by that, though a root has ended too', async () => {
      const old = mint({
        ...{ name: 'old', pathLength: null },
        ...{ notBefore: new Date(Date.now() - 2 * HOUR), notAfter: new Date(Date.now() - HOUR) },
      })
      const stranger = mint({ name: 'stranger', pathLength: null })
      const own = mint({ issuer: stranger, uris: [ID] })
      const files = { crt: own.pem, key: own.keyPem, ca: root.pem + old.pem }
      await assert.rejects(loadIdentity(await write(files), { spiffe }), (error) => {
        assert.ok(error instanceof MeshError)
        assert.equal(error.code, 'MESH_IDENTITY_UNTRUSTED')
        assert.doesNotMatch(error.message, /ended at/)
        return true
      })
    })

    it('a root whose name is not encoded as DER has it', async () => {
      // its length in the long form, which TLS takes
      const name = subject('root')
      const loose = Buffer.concat([Buffer.from([0x30, 0x81, name.length - 2]), name.subarray(2)])
      const other = mint({ pathLength: null, subjectName: loose, issuerName: loose })
      await refused(
        'MESH_IDENTITY_INVALID',
        { ca: root.pem + other.pem },
        /ca\.crt: holds a damaged certificate/,
      )
    })

    it('a chain longer than its CA allows', async () => {
      const extra = mint({ name: 'extra', issuer: intermediate, pathLength: 0 })
      const other = mint({ issuer: extra, uris: [ID] })
      const crt = other.pem + extra.pem + intermediate.pem
      await refused('MESH_IDENTITY_UNTRUSTED', { crt, key: other.keyPem })
    })

    it('a leaf signed by another leaf', async () => {
      const other = mint({ issuer: leaf, uris: [ID] })
      await refused('MESH_IDENTITY_UNTRUSTED', {
        crt: other.pem + leaf.pem + intermediate.pem,
        key: other.keyPem,
      })
    })

    it('names outside the name constraints of the CA', async () => {
      const narrow = mint({
        name: 'narrow',
        issuer: root,
        pathLength: 0,
        permittedUris: ['other.example'],
      })
      const other = mint({ issuer: narrow, uris: [ID] })
      await refused('MESH_IDENTITY_UNTRUSTED', { crt: other.pem + narrow.pem, key: other.keyPem })
    })

    it('a certificate that is for servers only, or for clients only', async () => {
      await refused('MESH_IDENTITY_UNTRUSTED', made({ usages: ['server'] }))
      await refused('MESH_IDENTITY_UNTRUSTED', made({ usages: ['client'] }))
    })

    it('no URI SAN, two of them, or one that is not a SPIFFE ID of the mesh', async () => {
      await refused('MESH_IDENTITY_AMBIGUOUS', made({ uris: [] }))
      await refused('MESH_IDENTITY_AMBIGUOUS', made({ uris: [ID, `${ID}-2`] }))
      await refused('MESH_IDENTITY_AMBIGUOUS', made({ uris: [ID, ID] }))
      await refused('MESH_IDENTITY_MALFORMED', made({ uris: ['https://mesh.internal/x'] }))
      await refused('MESH_IDENTITY_MALFORMED', made({ uris: [ID.replace('internal', 'evil')] }))
      await refused(
        'MESH_IDENTITY_MALFORMED',
        made({ uris: [], extensions: [altNames([0x86, `${ID}\0`])] }),
      )
    })

    it('files that are missing, too large, directories or pipes', async () => {
      const dir = await write()
      await rm(join(dir, 'tls.key'))
      await assert.rejects(loadIdentity(dir, { spiffe }), { code: 'MESH_IDENTITY_UNREADABLE' })
      await mkdir(join(dir, 'tls.key'))
      await assert.rejects(loadIdentity(dir, { spiffe }), { code: 'MESH_IDENTITY_UNREADABLE' })
      await rm(join(dir, 'tls.key'), { recursive: true })
      if (hasNamedPipes()) {
        makeNamedPipe(join(dir, 'tls.key'))
        await assert.rejects(loadIdentity(dir, { spiffe }), { code: 'MESH_IDENTITY_UNREADABLE' })
      }
      await refused(
        'MESH_IDENTITY_UNREADABLE',
        { crt: Buffer.alloc(256 * 1024 + 1, '#') },
        /larger/,
      )
      await assert.rejects(loadIdentity(join(base, 'nowhere'), { spiffe }), {
        code: 'MESH_IDENTITY_UNREADABLE',
        message: /nowhere: there is no such directory/,
      })
    })

    it('files that this user may not read', async () => {
      const dir = await write()
      await withoutPrivileges([base, dir], async () => {
        await loadIdentity(dir, { spiffe })
        await chmod(join(dir, 'tls.key'), 0)
        await assert.rejects(loadIdentity(dir, { spiffe }), { code: 'MESH_IDENTITY_UNREADABLE' })
      })
    })

    it('links that lead in a circle', async () => {
      const dir = await write()
      await rm(join(dir, 'ca.crt'))
      await symlink('ca.crt', join(dir, 'ca.crt'))
      await assert.rejects(loadIdentity(dir, { spiffe }), { code: 'MESH_IDENTITY_UNREADABLE' })
    })

    it('more certificates than anybody needs', async () => {
      await refused(
        'MESH_IDENTITY_INVALID',
        { crt: leaf.pem + intermediate.pem.repeat(10) },
        /more than/,
      )
    })
  })

  it('leaves nothing open, however often it fails', async () => {
    const dir = await write({ ca: mint({ name: 'root', pathLength: null }).pem })
    const before = openResources()
    for (let i = 0; i < 20; i += 1)
      await assert.rejects(loadIdentity(dir, { spiffe }), { code: 'MESH_IDENTITY_UNTRUSTED' })
    assert.deepEqual(await leftOpen(before, 10_000), [])
  })

  it('keeps two CAs apart', async () => {
    const other = issueBy(await ca.otherCa(), 'planner')
    await ca.issue('mine', 'planner')
    const mine = await ca.load('mine')
    await refused('MESH_IDENTITY_UNTRUSTED', {
      crt: other.certificateChain,
      key: other.privateKey.reveal(),
      ca: mine.roots.map(({ pem }) => pem).join(''),
    })
  })
})
