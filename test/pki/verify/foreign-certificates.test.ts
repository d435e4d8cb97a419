/** Certificates as SPIRE, cert-manager and editors of Windows leave them: facts and a verdict, never a crash. */
import assert from 'node:assert/strict'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadIdentity } from '@clawmesh/agent-sdk/mesh'
import { inspectPath, verifyPath } from '@clawmesh/pki'
import { der, extension, type MintOptions, mint } from '../../agent-sdk/tls/mint.ts'
import { spiffe } from '../../support/test-ca.ts'
import { makeScratch, type Scratch } from '../scratch.ts'

describe('certificates by other issuers', () => {
  let scratch: Scratch
  before(async () => {
    scratch = await makeScratch()
  })
  after(() => scratch.remove())
  const faultsOf = async (path: string) => {
    const { checks } = await verifyPath({ path })
    const failed = checks.filter((check) => !check.ok)
    return failed.map(({ name, detail }) => `${name}: ${detail}`).join('\n')
  }

  const root = mint({ name: 'root', pathLength: null })
  const between = mint({ name: 'between', issuer: root, pathLength: 0 })
  const URIS = ['spiffe://mesh.internal/tenant/acme/agent/planner']
  const leafOf = (options: MintOptions = {}) => mint({ issuer: between, uris: URIS, ...options })

  async function write(crt: string, key: string, ca = root.pem): Promise<string> {
    const dir = await mkdtemp(scratch.path('foreign-'))
    for (const [name, text] of Object.entries({ 'tls.crt': crt, 'tls.key': key, 'ca.crt': ca }))
      await writeFile(join(dir, name), text)
    return dir
  }

  it('judges one without a subject, as SPIRE and cert-manager issue them, and calls it by its URI', async () => {
    const leaf = leafOf({ name: '' })
    const dir = await write(leaf.pem + between.pem, leaf.keyPem)
    const { ok, checks } = await verifyPath({ path: dir })
    assert.equal(ok, true)
    assert.match(checks[0]?.detail ?? '', /^spiffe:.*planner <- CN=between <- CN=root$/)
    const [facts] = (await inspectPath(dir)).certificates
    assert.equal(facts?.subject, '(no name)')
    // a CA without one is no CA that could be found by its name, and no crash either
    const nameless = mint({ name: '', pathLength: null })
    const below = mint({ issuer: nameless, uris: URIS, name: '' })
    await faultsOf(await write(below.pem, below.keyPem, nameless.pem))
    assert.equal(
      (await inspectPath(await write(below.pem, below.keyPem))).certificates[0]?.issuer,
      '(no name)',
    )
  })

  it('reads files that an editor of Windows has marked', async () => {
    const leaf = leafOf()
    const marked = await write(
      `\uFEFF${leaf.pem}${between.pem}`,
      `\uFEFF${leaf.keyPem}`,
      `\uFEFF${root.pem}`,
    )
    assert.equal(await faultsOf(marked), '')
    assert.equal((await loadIdentity(marked, { spiffe })).identity.kind, 'agent')
  })

  it('says that one may sign as a CA does', async () => {
    const usage = (bits: number) => extension('2.5.29.15', der(0x03, Buffer.from([0, bits])))
    for (const bits of [0x84, 0x82, 0x86]) {
      const leaf = leafOf({ extensions: [usage(bits)] })
      const dir = await write(leaf.pem + between.pem, leaf.keyPem)
      assert.match(await faultsOf(dir), /^usage: its key may sign certificates or revocation lists/)
    }
  })

  it('takes whatever order a chain has, and of a renewed root the one that is in time', async () => {
    const hours = (n: number) => new Date(Date.now() + n * 3_600_000)
    const times = { notBefore: hours(-2), notAfter: hours(-1) }
    const ended = mint({ name: 'root', pathLength: null, key: root, ...times })
    const leaf = leafOf()
    const chain = leaf.pem + root.pem + between.pem
    for (const ca of [ended.pem + root.pem, root.pem + ended.pem])
      assert.equal(await faultsOf(await write(chain, leaf.keyPem, ca)), '')
    assert.match(
      await faultsOf(await write(chain, leaf.keyPem, ended.pem)),
      /^time: CN=root expired/,
    )
  })

  it('refuses more certificates than gateways and agents read', async () => {
    const leaf = leafOf()
    const dir = await write(leaf.pem + between.pem.repeat(10), leaf.keyPem)
    assert.match(await faultsOf(dir), /^chain: the file holds more than 10 certificates/)
    await assert.rejects(loadIdentity(dir, { spiffe }), { code: 'MESH_IDENTITY_INVALID' })
  })
})
