/** Certificates that the CA would never issue, signed with its own key: what a thief of that key could make. */
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Secret } from '@clawmesh/proto'
import { decryptPrivateKey } from '../../pki/src/ca/encrypted-key.ts'
import { toPem } from '../../pki/src/der/pem.ts'
import { distinguishedName, signCertificate } from '../../pki/src/x509/certificate.ts'
import {
  type AlternativeNames,
  caConstraints,
  caKeyUsage,
  endEntityConstraints,
  endEntityKeyUsage,
  subjectAltName,
  tlsExtendedKeyUsage,
} from '../../pki/src/x509/extensions.ts'
import { parseCertificates } from '../../pki/src/x509/parse-certificate.ts'
import { PASSPHRASE } from './scratch.ts'

export interface HandMade {
  readonly certificateChain: string
  readonly privateKey: Secret<string>
  readonly roots: string
}

const AGENT = 'spiffe://mesh.internal/tenant/acme/agent/planner'

export async function stolenCa(dir: string) {
  const read = (name: string) => readFile(join(dir, name), 'utf8')
  const [ca] = parseCertificates(await read('intermediate.crt'))
  const roots = await read('root.crt')
  if (ca?.subjectKeyId == null) throw new TypeError('not a CA')
  const { subject: name, subjectKeyId: keyId, pem: caPem } = ca
  const privateKey = decryptPrivateKey(await read('intermediate.key'), PASSPHRASE, 'key')
  const issuer = { name, keyId, privateKey }
  const content = () => {
    const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const pem = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const notBefore = new Date(Date.now() - 60_000)
    const notAfter = new Date(Date.now() + 3_600_000)
    const subject = distinguishedName([{ type: 'commonName', value: 'hand-made' }])
    const { publicKey } = keys
    return { keys, pem, facts: { subject, publicKey, notBefore, notAfter } }
  }
  return {
    /** A leaf with these names; those not given are those of planner. */
    leaf(names: Partial<AlternativeNames>, purposes = [tlsExtendedKeyUsage()]): HandMade {
      const { pem, facts } = content()
      const san = subjectAltName({ uris: [AGENT], dnsNames: [], ipAddresses: [], ...names })
      const extensions = [endEntityConstraints(), endEntityKeyUsage(), ...purposes, san]
      const der = signCertificate({ ...facts, extensions }, issuer)
      const certificateChain = toPem('CERTIFICATE', der) + caPem
      return { certificateChain, privateKey: new Secret(pem), roots }
    },
    /** A leaf below a CA of one's own, below the intermediate. */
    leafBelowAnotherCa(): HandMade {
      const sub = content()
      const subDer = signCertificate(
        { ...sub.facts, extensions: [caConstraints(0), caKeyUsage()] },
        issuer,
      )
      const [subCa] = parseCertificates(toPem('CERTIFICATE', subDer))
      if (subCa?.subjectKeyId == null) throw new TypeError('not a CA')
      const { pem, facts } = content()
      const san = subjectAltName({ uris: [AGENT], dnsNames: [], ipAddresses: [] })
      const der = signCertificate(
        { ...facts, extensions: [endEntityConstraints(), endEntityKeyUsage(), san] },
        { name: subCa.subject, keyId: subCa.subjectKeyId, privateKey: sub.keys.privateKey },
      )
      const certificateChain = toPem('CERTIFICATE', der) + subCa.pem + caPem
      return { certificateChain, privateKey: new Secret(pem), roots }
    },
  }
}
