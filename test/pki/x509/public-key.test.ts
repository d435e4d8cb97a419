import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describeKey, normalKey } from '../../../pki/src/x509/public-key.ts'

describe('a public key', () => {
  const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).publicKey
  /** Stands for a key that takes long to make, or that Node makes no more. */
  const like = (key: KeyObject, details: object): KeyObject =>
    new Proxy(key, {
      get(target, name) {
        if (name === 'asymmetricKeyDetails') return { ...target.asymmetricKeyDetails, ...details }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })

  it('is called by its kind, and taken where all that speak TLS 1.3 take it', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey
    const table: [key: KeyObject, name: string, taken: boolean][] = [
      [ec('P-256'), 'EC P-256', true],
      [ec('P-384'), 'EC P-384', true],
      [ec('P-521'), 'EC P-521', false],
      [ec('secp256k1'), 'EC secp256k1', false],
      [generateKeyPairSync('ed25519').publicKey, 'Ed25519', true],
      [generateKeyPairSync('ed448').publicKey, 'ED448', false],
      [generateKeyPairSync('x25519').publicKey, 'X25519', false],
      [rsa, 'RSA 2048', true],
      [like(rsa, { modulusLength: 2047 }), 'RSA 2047', false],
      [like(rsa, { modulusLength: 4096 }), 'RSA 4096', true],
      [like(rsa, { modulusLength: 4097 }), 'RSA 4097', false],
      [like(rsa, { publicExponent: 3n }), 'RSA 2048', false],
      [like(ec('P-256'), { namedCurve: undefined }), 'EC of explicit parameters', false],
      [generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey, 'RSA-PSS', false],
    ]
    for (const [key, name, taken] of table) {
      assert.equal(describeKey(key), name)
      const normal = normalKey(key)
      assert.equal(normal !== null, taken, name)
      if (normal !== null)
        assert.deepEqual(normal.export({ format: 'jwk' }), key.export({ format: 'jwk' }))
    }
  })
})
