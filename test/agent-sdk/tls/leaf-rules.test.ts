import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadIdentity } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { spiffe } from '../../support/test-ca.ts'
import { der, extension, type Minted, mint, sequence } from './mint.ts'
import { PLANNER, present, type Verdict } from './present.ts'

const usage = (bits: number) => extension('2.5.29.15', der(0x03, Buffer.from([0, bits])), true)
const purposes = (...last: readonly number[]) =>
  extension(
    '2.5.29.37',
    sequence(
      ...last.map((n) =>
        Buffer.from(`06082b060105050703${n.toString(16).padStart(2, '0')}`, 'hex'),
      ),
    ),
  )
const CA_TRUE = extension('2.5.29.19', sequence(der(0x01, Buffer.from([0xff]))), true)
const CA_FALSE = extension('2.5.29.19', sequence(), true)

describe('the certificate of an agent or gateway', () => {
  const root = mint({ name: 'root', pathLength: null })
  let base: string
  before(async () => {
    base = await mkdtemp(join(tmpdir(), 'clawmesh-leaf-'))
  })
  after(() => rm(base, { recursive: true, force: true }))

  const leaf = (...extensions: readonly Buffer[]) =>
    mint({ issuer: root, uris: [PLANNER], extensions })

  async function asOwn(one: Minted): Promise<string | null> {
    const dir = await mkdtemp(join(base, 'id-'))
    await writeFile(join(dir, 'tls.crt'), one.pem)
    await writeFile(join(dir, 'tls.key'), one.keyPem)
    await writeFile(join(dir, 'ca.crt'), root.pem)
    return loadIdentity(dir, { spiffe }).then(() => null, shown)
  }

  it('is refused as caller, as callee and as one’s own when it may sign certificates or lists', async () => {
    for (const [one, why] of [
      [leaf(CA_TRUE), 'CA:TRUE'],
      [leaf(CA_TRUE, usage(0x86)), 'CA:TRUE'],
      [leaf(CA_FALSE, usage(0x84)), 'keyCertSign'],
      [leaf(CA_FALSE, usage(0x82)), 'cRLSign'],
      [leaf(usage(0x84)), 'keyCertSign'],
    ] as const) {
      const { asCaller, asCallee } = await present([root], one)
      for (const said of [shown(asCaller), shown(asCallee), await asOwn(one)])
        assert.match(String(said), new RegExp(`^MESH_IDENTITY_NOT_LEAF .*${why}`))
    }
  })

  it('is nobody’s when it names another trust domain, though the CA is one of the mesh', async () => {
    for (const uri of [
      'spiffe://other.internal/tenant/acme/agent/planner',
      'spiffe://mesh.internal.other/tenant/acme/agent/planner',
      'spiffe://sub.mesh.internal/tenant/acme/agent/planner',
    ]) {
      const one = mint({ issuer: root, uris: [uri] })
      const { asCaller, asCallee } = await present([root], one)
      for (const said of [shown(asCaller), shown(asCallee), await asOwn(one)])
        assert.match(String(said), /^MESH_IDENTITY_MALFORMED/, uri)
    }
  })

  it('may leave out key usage and constraints, or have those of a leaf', async () => {
    for (const one of [leaf(), leaf(CA_FALSE), leaf(CA_FALSE, usage(0x80)), leaf(usage(0xa8))]) {
      const { asCaller, asCallee } = await present([root], one)
      assert.deepEqual([shown(asCaller), shown(asCallee), await asOwn(one)], [null, null, null])
    }
  })

  it('must have a key that may sign handshakes', async () => {
    const { asCaller, asCallee } = await present([root], leaf(usage(0x08)))
    for (const said of [asCaller, asCallee])
      assert.match(String(shown(said)), /MESH_IDENTITY_UNTRUSTED/)
    assert.match(String(await asOwn(leaf(usage(0x08)))), /lacks digitalSignature/)
  })

  it('must be for servers and clients, and it is said what it lacks', async () => {
    const only = (...last: number[]) =>
      mint({ issuer: root, uris: [PLANNER], usages: null, extensions: [purposes(...last)] })
    assert.match(String(await asOwn(only(1))), /lacks clientAuth/)
    assert.match(String(await asOwn(only(2))), /lacks serverAuth/)
    assert.match(String(await asOwn(only(3))), /lacks serverAuth/)
    assert.equal(await asOwn(only(1, 2, 3)), null)
    const { asCaller } = await present([root], only(1))
    assert.match(String(shown(asCaller)), /not for TLS clients and servers .*clientAuth/)
  })

  it('is refused when its constraints cannot be read', async () => {
    const { asCaller } = await present(
      [root],
      leaf(extension('2.5.29.15', Buffer.from([0x04, 0x00]))),
    )
    assert.ok(asCaller instanceof MeshError)
  })
})

function shown(verdict: Verdict | unknown): string | null {
  if (!(verdict instanceof Error)) return null
  if (!(verdict instanceof MeshError)) return String(verdict)
  return `${verdict.code} ${verdict.message} ${verdict.hint}`
}
