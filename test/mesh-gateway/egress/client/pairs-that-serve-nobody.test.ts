/** Pairs of certificate and key that fit, and with which no ordinary client makes a connection. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openPortCertificate } from '../../../../mesh-gateway/src/egress/client/port-certificate.ts'
import { type Minted, type MintOptions, mint } from '../../../agent-sdk/tls/mint.ts'

const NEVER_MS = 3_600_000
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength })
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve })

const ca = mint({ name: 'ca', pathLength: null })
const leaf = (key: MintOptions['key'], issuer = ca): Minted =>
  mint({ issuer, dnsNames: ['localhost'], ...(key === undefined ? {} : { key }) })
const smallCa = mint({ name: 'small', pathLength: null, key: rsa(1024) })
const past = { notBefore: new Date(0), notAfter: new Date(Date.now() - 1000) }
const oldCa = mint({ name: 'old', pathLength: null, ...past })

/** Each with what is said of it. */
const BAD: readonly (readonly [name: string, pair: () => Minted, chain: string, says: RegExp])[] = [
  ['RSA of 1024 bits', () => leaf(rsa(1024)), ca.pem, /ERR_SSL_EE_KEY_TOO_SMALL/],
  ['RSA of 1536 bits', () => leaf(rsa(1536)), ca.pem, /ERR_SSL_EE_KEY_TOO_SMALL/],
  ['P-192', () => leaf(ec('prime192v1')), ca.pem, /ERR_SSL_EE_KEY_TOO_SMALL/],
  ['P-224', () => leaf(ec('secp224r1')), ca.pem, /HANDSHAKE_FAILURE/],
  ['secp256k1', () => leaf(ec('secp256k1')), ca.pem, /on the curve secp256k1/],
  ['brainpoolP256r1', () => leaf(ec('brainpoolP256r1')), ca.pem, /on the curve brainpoolP256r1/],
  ['X25519', () => leaf(generateKeyPairSync('x25519')), ca.pem, /UNKNOWN_CERTIFICATE_TYPE/],
  [
    'a good leaf under a CA of RSA-1024',
    () => leaf(undefined, smallCa),
    smallCa.pem,
    /CA_KEY_TOO_SMALL/,
  ],
  [
    'a leaf for clients only',
    () => mint({ issuer: ca, usages: ['client'] }),
    ca.pem,
    /INVALID_PURPOSE/,
  ],
  [
    'a leaf under a CA that has expired',
    () => leaf(undefined, oldCa),
    oldCa.pem,
    /CERT_HAS_EXPIRED/,
  ],
]
const GOOD: readonly (readonly [name: string, pair: () => Minted, chain: string])[] = [
  ['P-256', () => leaf(ec('P-256')), ca.pem],
  ['P-384', () => leaf(ec('P-384')), ''],
  ['P-521', () => leaf(ec('P-521')), ca.pem],
  ['RSA of 2048 bits', () => leaf(rsa(2048)), ca.pem],
  ['Ed25519', () => leaf(generateKeyPairSync('ed25519')), ca.pem],
  ['a self-signed one', () => mint({ name: 'self' }), ''],
  ['one with a foreign certificate beside it', () => leaf(undefined), mint({ name: 'other' }).pem],
]

describe('a pair for the egress port', () => {
  let dir: string
  let warnings: unknown[]
  const log = {
    debug() {},
    info() {},
    error() {},
    warn: ({ err }: { readonly err?: unknown }) => void warnings.push(err),
  }
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-pair-'))
    warnings = []
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  async function write(pair: Minted, chain: string): Promise<void> {
    await writeFile(join(dir, 'tls.crt'), pair.pem + chain)
    await writeFile(join(dir, 'tls.key'), pair.keyPem)
  }

  for (const [name, make, chain, says] of BAD) {
    it(`that serves nobody is refused at the start, and leaves the last good one later: ${name}`, async () => {
      const pair = make()
      await write(pair, chain)
      await assert.rejects(openPortCertificate({ dir }), (error: unknown) => {
        assert.ok(error instanceof Error && 'code' in error && 'hint' in error)
        assert.equal(error.code, 'MESH_CONFIG_INVALID')
        assert.match(error.message, says)
        assert.match(String(error.hint), /egress\.tls\.dir|RSA with 2048/)
        assert.doesNotMatch(error.message, /PRIVATE/)
        return true
      })

      const good = leaf(undefined)
      await write(good, ca.pem)
      const metric: boolean[] = []
      const metrics = { reload: (_: string, ok: boolean) => void metric.push(ok) }
      const options = { dir, log, metrics, pollMs: NEVER_MS }
      await using closing = new AsyncDisposableStack()
      const certificate = closing.adopt(await openPortCertificate(options), (one) => one.close())
      let told = 0
      certificate.onChange(() => {
        told += 1
      })
      const before = certificate.current()
      await write(pair, chain)
      assert.equal(await certificate.reload(), false)
      assert.equal(certificate.current(), before)
      assert.equal(told, 0)
      assert.equal(metric.at(-1), false)
      assert.match(String(warnings.at(-1)), says)
      const next = leaf(undefined)
      await write(next, ca.pem)
      assert.equal(await certificate.reload(), true)
      assert.equal(certificate.current().chain, next.pem + ca.pem)
      assert.deepEqual([told, metric.at(-1)], [1, true])
    })
  }

  for (const [name, make, chain] of GOOD) {
    it(`that serves clients is taken: ${name}`, async () => {
      const pair = make()
      await write(pair, chain)
      const certificate = await openPortCertificate({ dir, pollMs: NEVER_MS })
      assert.equal(certificate.current().chain, pair.pem + chain)
      await certificate.close()
    })
  }
})
