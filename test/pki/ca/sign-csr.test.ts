import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import type { Ca } from '@clawmesh/pki'
import { decryptPrivateKey } from '../../../pki/src/ca/encrypted-key.ts'
import { toPem } from '../../../pki/src/der/pem.ts'
import {
  bitString,
  boolean,
  octetString,
  oid,
  sequence,
  tagged,
  taggedBytes,
  utf8,
} from '../../../pki/src/der/write.ts'
import { parseCertificates } from '../../../pki/src/x509/parse-certificate.ts'
import { needProgram } from '../../support/need-program.ts'
import { dnsName, makeRequest, type RequestOptions, uriName } from '../make-request.ts'
import { run } from '../run.ts'
import { makeCa, makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

const OWN_URI = 'spiffe://mesh.internal/tenant/acme/agent/planner'
const OWN_DNS = 'planner.acme.mesh.internal'
const WHO = { tenant: 'acme', agent: 'planner' }

describe('signing a request', () => {
  let scratch: Scratch
  let ca: Ca
  before(async () => {
    scratch = await makeScratch()
    ca = await makeCa(scratch.path('ca'))
  })
  after(() => scratch.remove())

  // one pair for all that do not care
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const request = (options: RequestOptions = {}) => makeRequest({ keys: p256, ...options })

  function refused(csrPem: string, words: RegExp): void {
    assert.throws(
      () => ca.sign({ csrPem, ...WHO }),
      (error: unknown) => {
        assert.ok(error instanceof Error && 'code' in error)
        assert.equal(error.code, 'MESH_PKI_CSR_REFUSED', error.message)
        assert.match(error.message, words)
        assert.match(error.message, /^[\x20-\x7e]+$/)
        return true
      },
    )
  }

  it('takes the key of a request by openssl, and gives the names of the policy', async function () {
    needProgram(this, 'openssl', 'version')
    const kinds = {
      'EC P-256': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
      'EC P-384': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
      'RSA 2048': ['-newkey', 'rsa:2048'],
      Ed25519: ['-newkey', 'ed25519'],
    }
    for (const [kind, newkey] of Object.entries(kinds)) {
      const [csr, key, crt] = ['planner.csr', 'planner.key', 'planner.crt'].map((name) =>
        scratch.path(name),
      )
      assert.ok(csr && key && crt)
      const ext = `subjectAltName=URI:${OWN_URI},DNS:${OWN_DNS}`
      const args = ['-nodes', '-subj', '/C=DE/O=whatever/CN=planner', '-addext', ext]
      const made = await run('openssl', [
        'req',
        '-new',
        ...newkey,
        ...args,
        '-keyout',
        key,
        '-out',
        csr,
      ])
      assert.equal(made.code, 0, made.stderr)
      const issued = ca.sign({ csrPem: await readFile(csr, 'utf8'), ...WHO })
      const [leaf] = parseCertificates(issued.certificateChain)
      assert.deepEqual(leaf?.names.uris, [OWN_URI], kind)
      assert.deepEqual(leaf?.names.dnsNames, [OWN_DNS])
      assert.doesNotMatch(leaf?.x509.subject ?? '', /whatever/)
      await writeFile(crt, issued.certificateChain)
      await writeFile(scratch.path('roots.pem'), issued.roots)
      const trust = ['-x509_strict', '-CAfile', scratch.path('roots.pem'), '-untrusted', crt]
      const judged = await run('openssl', ['verify', ...trust, crt])
      assert.equal(judged.code, 0, judged.stderr)
      const own = await run('openssl', ['pkey', '-in', key, '-pubout'])
      const certified = await run('openssl', ['x509', '-in', crt, '-noout', '-pubkey'])
      assert.equal(own.stdout, certified.stdout)
    }
  })

  it('needs no name in the request', () => {
    assert.equal(ca.sign({ csrPem: request(), ...WHO }).spiffeId, OWN_URI)
  })

  it('signs for a gateway as well', () => {
    const names = [dnsName('*.acme.mesh.internal')]
    const issued = ca.sign({ csrPem: request({ names }), name: 'gw', tenants: ['acme'] })
    assert.equal(issued.spiffeId, 'spiffe://mesh.internal/gateway/gw')
    refused(request({ names }), /\*\.acme\.mesh\.internal/)
  })

  it('refuses a request for any name that is not its own', () => {
    refused(
      request({ names: [dnsName(OWN_DNS), dnsName('researcher.acme.mesh.internal')] }),
      /DNS "researcher/,
    )
    refused(request({ names: [dnsName('*.acme.mesh.internal')] }), /DNS/)
    refused(request({ names: [dnsName(`${OWN_DNS}\0.example.com`)] }), /DNS/)
    refused(request({ names: [dnsName(OWN_DNS.toUpperCase())] }), /DNS/)
    refused(request({ names: [uriName('spiffe://mesh.internal/gateway/gw')] }), /URI/)
    refused(request({ names: [uriName(OWN_URI), uriName(`${OWN_URI}/`)] }), /URI/)
    refused(request({ names: [taggedBytes(7, Buffer.from([127, 0, 0, 1]))] }), /IP 127\.0\.0\.1/)
    refused(request({ names: [taggedBytes(1, Buffer.from('a@b.c'))] }), /email/)
    refused(request({ names: [tagged(0, oid('1.2.3'), tagged(0, utf8('x')))] }), /other name/)
  })

  it('refuses another name in the common name, however it is dressed up', () => {
    for (const name of [
      'gw.mesh.internal',
      'planner\0',
      'planner ',
      'Planner',
      '\u001b[2Jplanner',
      'plаnner',
    ])
      refused(request({ commonNames: [name] }), /CN/)
    refused(request({ commonNames: ['planner', 'researcher'] }), /CN "researcher"/)
    ca.sign({ csrPem: request({ commonNames: [OWN_DNS] }), ...WHO })
  })

  it('finds names in every extension request, not the first alone', () => {
    const san = (name: string) => sequence(oid('2.5.29.17'), octetString(sequence(dnsName(name))))
    refused(request({ extensions: [san(OWN_DNS), san('gw.mesh.internal')] }), /twice/)
  })

  it('refuses a request to be a CA', () => {
    const ca1 = sequence(oid('2.5.29.19'), boolean(true), octetString(sequence(boolean(true))))
    const usage = sequence(oid('2.5.29.15'), octetString(bitString(Buffer.from([0x04]), 2)))
    refused(request({ extensions: [ca1] }), /right to be a CA/)
    refused(request({ extensions: [usage] }), /right to be a CA/)
  })

  it('refuses a signature that is not by the key in it', () => {
    const spoil = (der: Buffer) =>
      Buffer.from(der.toString('latin1').replace('planner', 'plannex'), 'latin1')
    refused(request({ commonNames: ['planner'], spoil }), /signature is not by the key/)
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const keys = { publicKey: p256.publicKey, privateKey: other.privateKey }
    refused(request({ keys }), /signature is not by the key/)
  })

  it('refuses keys and signatures that are too weak or too odd', () => {
    const rsa = (modulusLength: number, publicExponent = 65537) =>
      generateKeyPairSync('rsa', { modulusLength, publicExponent })
    const algorithm = '1.2.840.113549.1.1.11'
    refused(request({ keys: rsa(1024), algorithm }), /RSA 1024/)
    refused(request({ keys: rsa(2048, 3), algorithm }), /RSA 2048/)
    refused(request({ keys: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }) }), /secp256k1/)
    refused(request({ keys: generateKeyPairSync('ec', { namedCurve: 'P-521' }) }), /P-521/)
    refused(request({ keys: generateKeyPairSync('ed448') }), /ED448/)
    refused(request({ algorithm: '1.2.840.10045.4.1' }), /SHA-256 or better/)
    refused(request({ algorithm }), /SHA-256 or better/)
  })

  it('refuses what is no request: empty, garbage, cut, two at once, a certificate, huge', () => {
    const good = request()
    const der = Buffer.from(good.replaceAll(/-----.*-----|\n/g, ''), 'base64')
    refused('', /not one certificate request/)
    refused('\0'.repeat(100), /not one certificate request/)
    refused(good.slice(0, -20), /cut short/)
    refused(good + good, /not one certificate request/)
    refused(toPem('CERTIFICATE', der), /not one certificate request/)
    refused(toPem('CERTIFICATE REQUEST', Buffer.alloc(0)), /./)
    refused(toPem('CERTIFICATE REQUEST', Buffer.concat([der, Buffer.from([0])])), /DER/)
    refused(toPem('CERTIFICATE REQUEST', Buffer.alloc(8000, 0x30)), /DER/)
    refused(`${good}${'A'.repeat(20_000)}`, /larger than/)
    for (let cut = 0; cut < der.length; cut += 7)
      refused(toPem('CERTIFICATE REQUEST', der.subarray(0, cut)), /./)
  })

  it('refuses one with any bit flipped, and never crashes on it', () => {
    const good = request({ names: [dnsName(OWN_DNS)], commonNames: ['planner'] })
    const der = Buffer.from(good.replaceAll(/-----.*-----|\n/g, ''), 'base64')
    for (let at = 0; at < der.length; at++) {
      const spoilt = Buffer.from(der)
      spoilt.writeUInt8((spoilt[at] ?? 0) ^ (1 << (at % 8)), at)
      refused(toPem('CERTIFICATE REQUEST', spoilt), /./)
    }
  })

  it('refuses a file with a private key in it, and says that the key should be made anew', () => {
    const key = p256.privateKey.export({ type: 'pkcs8', format: 'pem' })
    assert.throws(() => ca.sign({ csrPem: request() + key, ...WHO }), {
      code: 'MESH_PKI_CSR_REFUSED',
      hint: /never leaves its owner/,
    })
  })

  it('refuses the key of the CA itself, of root and intermediate, though the request is signed with it', async () => {
    for (const name of ['root', 'intermediate']) {
      const [certificate] = parseCertificates(
        await readFile(scratch.path('ca', `${name}.crt`), 'utf8'),
      )
      assert.ok(certificate)
      const pem = await readFile(scratch.path('ca', `${name}.key`), 'utf8')
      const privateKey = decryptPrivateKey(pem, PASSPHRASE, name)
      const keys = { publicKey: certificate.publicKey, privateKey }
      refused(request({ keys }), /its key is the key of the CA/)
    }
  })
})
