import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { parseCrl, verifyCrl } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { mint } from '../mint.ts'
import { rootsOf } from '../present.ts'
import {
  ECDSA_SHA1,
  ECDSA_SHA256,
  mintCrl,
  type PssParts,
  pss,
  RSA_SHA1,
  type Scheme,
} from './mint-crl.ts'

describe('the signature of a revocation list', () => {
  const ecdsa = mint({ name: 'ecdsa', pathLength: null })
  // the certificate is signed by the other CA: the minter signs by ECDSA only
  const rsaKey = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const rsa = mint({ name: 'rsa', issuer: ecdsa, pathLength: null, key: rsaKey })
  const roots = rootsOf(ecdsa)
  const verdict = (by: Scheme, issuer = rsa): string | null => {
    try {
      verifyCrl(parseCrl(mintCrl({ issuer, scheme: by })), [issuer.certificate], roots)
      return null
    } catch (error) {
      assert.ok(error instanceof MeshError && error.code === 'MESH_REVOCATION_INVALID')
      return error.message
    }
  }

  it('may be RSA-PSS with SHA-256, SHA-384 or SHA-512 and a salt as long', () => {
    for (const [hash, salt] of [
      ['sha256', 32],
      ['sha384', 48],
      ['sha512', 64],
    ] as const) {
      assert.equal(verdict(pss({ hash, mask: hash, salt })), null)
      assert.equal(verdict(pss({ hash, mask: hash, salt, trailer: 1 })), null)
    }
  })

  it('is refused by name when RSA-PSS has other parameters (RFC 4055, section 3.1)', () => {
    const good = { hash: 'sha256', mask: 'sha256', salt: 32 } as const
    const cases: readonly (readonly [PssParts, RegExp])[] = [
      [{}, /RSA-PSS with a hash other than/],
      [{ ...good, hash: 'sha1' }, /a hash other than/],
      [{ hash: 'sha256', salt: 32, really: { hash: 'sha256', salt: 32 } }, /a mask that is not/],
      [{ ...good, mask: 'sha384' }, /a mask that is not MGF1 with the same hash/],
      [{ ...good, salt: 20 }, /a salt that is not as long/],
      [{ hash: 'sha256', mask: 'sha256' }, /a salt that is not as long/],
      [{ ...good, trailer: 2 }, /an unknown trailer/],
      // as DER has it, the number is negative
      [{ ...good, salt: 0xa0, really: { hash: 'sha256', salt: 32 } }, /not well-formed/],
    ]
    for (const [parts, words] of cases) assert.match(String(verdict(pss(parts))), words)
  })

  it('is refused when it was made with other parameters than it names', () => {
    const good = { hash: 'sha256', mask: 'sha256', salt: 32 } as const
    for (const really of [
      { hash: 'sha256', salt: 20 },
      { hash: 'sha384', salt: 32 },
    ])
      assert.match(String(verdict(pss({ ...good, really }))), /its signature is not by the CA/)
  })

  it('keeps to what a key for RSA-PSS permits', () => {
    const ofKey = (hashAlgorithm: string, saltLength: number) => {
      // @types/node takes the length for a text
      const salt: object = { saltLength }
      const options = { modulusLength: 2048, hashAlgorithm, mgf1HashAlgorithm: hashAlgorithm }
      const key = generateKeyPairSync('rsa-pss', { ...options, ...salt })
      return mint({ name: 'pss', issuer: ecdsa, pathLength: null, key })
    }
    const by = pss({ hash: 'sha256', mask: 'sha256', salt: 32 })
    assert.equal(verdict(by, ofKey('sha256', 32)), null)
    const strict = ofKey('sha384', 48)
    const forged = { ...by, sign: () => Buffer.alloc(256, 1) }
    assert.match(String(verdict(forged, strict)), /its signature is not by the CA/)
    assert.equal(verdict(pss({ hash: 'sha384', mask: 'sha384', salt: 48 }), strict), null)
  })

  it('is refused by name when it is weak or unknown', () => {
    assert.match(
      String(verdict(ECDSA_SHA1, ecdsa)),
      /signed by SHA-1 with ECDSA, which is not accepted/,
    )
    assert.match(String(verdict(RSA_SHA1)), /signed by SHA-1 with RSA/)
    const odd = { ...ECDSA_SHA256, algorithm: Buffer.from('300506032b6571', 'hex') }
    assert.match(String(verdict(odd, ecdsa)), /the algorithm 1\.3\.101\.113, which/)
  })
})
