/** Identities that fit throughout, and that TLS refuses or does not survive. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadIdentity, openIdentity } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { spiffe } from '../../support/test-ca.ts'
import { type Minted, type MintOptions, mint } from '../tls/mint.ts'

const ID = 'spiffe://mesh.internal/tenant/acme/agent/planner'
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength })
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve })
const rootOf = (key?: MintOptions['key']) =>
  mint({ name: 'root', pathLength: null, ...(key === undefined ? {} : { key }) })
const root = rootOf()
const leaf = (key?: MintOptions['key'], issuer = root) =>
  mint({ issuer, uris: [ID], ...(key === undefined ? {} : { key }) })

interface Bad {
  readonly root: Minted
  readonly leaf: Minted
}

const under = (key: MintOptions['key']): Bad => {
  const own = rootOf(key)
  return { root: own, leaf: leaf(undefined, own) }
}
const BAD: readonly (readonly [name: string, make: () => Bad])[] = [
  ['a key of RSA-1024', () => ({ root, leaf: leaf(rsa(1024)) })],
  ['a key of RSA-1536', () => ({ root, leaf: leaf(rsa(1536)) })],
  ['a key on P-192', () => ({ root, leaf: leaf(ec('prime192v1')) })],
  ['a key on P-224', () => ({ root, leaf: leaf(ec('secp224r1')) })],
  ['a key on secp256k1', () => ({ root, leaf: leaf(ec('secp256k1')) })],
  ['a key on brainpoolP256r1', () => ({ root, leaf: leaf(ec('brainpoolP256r1')) })],
  ['a key for X25519', () => ({ root, leaf: leaf(generateKeyPairSync('x25519')) })],
  ['a root of RSA-1024', () => under(rsa(1024))],
  // these ended the process
  ['a root on secp256k1', () => under(ec('secp256k1'))],
  ['a root on brainpoolP384r1', () => under(ec('brainpoolP384r1'))],
]

describe('an identity whose keys TLS refuses', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-keys-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  async function write(bad: Bad): Promise<void> {
    await writeFile(join(dir, 'tls.crt'), bad.leaf.pem)
    await writeFile(join(dir, 'tls.key'), bad.leaf.keyPem)
    await writeFile(join(dir, 'ca.crt'), bad.root.pem)
  }

  for (const [name, make] of BAD) {
    it(`is refused with a code, and leaves the last good one: ${name}`, async () => {
      const bad = make()
      await write(bad)
      await assert.rejects(loadIdentity(dir, { spiffe }), MeshError)
      await write({ root, leaf: leaf() })
      const store = await openIdentity({ dir, spiffe, debounceMs: 10 })
      const before = store.current()
      const refused = new Promise<void>((resolve) => {
        store.onReload(({ ok, error }) => {
          // the files are not written at one go
          if (!ok && error !== null) resolve()
        })
      })
      await write(bad)
      await refused
      assert.equal(store.current(), before)
      await store.close()
    })
  }
})
