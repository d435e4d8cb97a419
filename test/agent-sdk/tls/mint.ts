/**
 * Mints certificates that a decent CA would never issue: two URI SANs, violated name constraints, damaged extensions.
 * Decent ones come from @clawmesh/pki.
 */
import {
  createHash,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'

export interface MintOptions {
  readonly issuer?: Minted
  /** Common name; empty: no subject at all. Default `test`. */
  readonly name?: string
  /** Given: a CA with this path length; null: a CA without one. Left out: no CA. */
  readonly pathLength?: number | null
  /** Encoded names, where they are not the usual ones: as it names its issuer, and itself. */
  readonly issuerName?: Buffer
  readonly subjectName?: Buffer
  readonly uris?: readonly string[]
  readonly dnsNames?: readonly string[]
  /** Permitted URI hosts. */
  readonly permittedUris?: readonly string[]
  readonly notBefore?: Date
  readonly notAfter?: Date
  /** Default both; null: no extended key usage. */
  readonly usages?: readonly ('server' | 'client')[] | null
  /** First byte of the key usage of a CA. Default keyCertSign and cRLSign. */
  readonly caUsage?: number
  /** Whole extensions, DER, added to the others. */
  readonly extensions?: readonly Buffer[]
  readonly key?: KeyPair
  /** With identifiers of its own key and of its issuer's, by which OpenSSL tells CAs of one name apart. Default false. */
  readonly keyIds?: boolean
}

interface KeyPair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

export interface Minted extends KeyPair {
  readonly name: string
  /** Encoded. */
  readonly subjectName: Buffer
  readonly certificate: X509Certificate
  readonly pem: string
  readonly keyPem: string
}

export const URI_SAN = '2.5.29.17'
const HOUR = 3_600_000

export function mint(options: MintOptions = {}): Minted {
  const { issuer, name = 'test', usages = ['server', 'client'] } = options
  const key = options.key ?? generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signer = issuer?.privateKey ?? key.privateKey
  const rsa = signer.asymmetricKeyType === 'rsa'
  const algorithm = rsa
    ? sequence(oid('1.2.840.113549.1.1.11'), der(0x05))
    : sequence(oid('1.2.840.10045.4.3.2'))
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    options.issuerName ?? options.issuer?.subjectName ?? subject(issuer?.name ?? name),
    sequence(
      time(options.notBefore ?? new Date(Date.now() - HOUR)),
      time(options.notAfter ?? new Date(Date.now() + HOUR)),
    ),
    options.subjectName ?? subject(name),
    key.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions(options, usages), ...keyIds(options, key, issuer ?? key))),
  )
  const signature = sign('sha256', body, signer)
  const raw = sequence(body, algorithm, der(0x03, Buffer.from([0]), signature))
  const pem = `-----BEGIN CERTIFICATE-----\n${raw.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`
  const keyPem = key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const subjectName = options.subjectName ?? subject(name)
  return { ...key, name, subjectName, certificate: new X509Certificate(raw), pem, keyPem }
}

/** An extension: id, content, criticality. */
export function extension(id: string, content: Buffer, critical = false): Buffer {
  const flag = critical ? [der(0x01, Buffer.from([0xff]))] : []
  return sequence(oid(id), ...flag, der(0x04, content))
}

/** A subject alternative name extension of these raw names: tag and bytes. */
export function altNames(
  ...names: readonly (readonly [tag: number, value: string | Buffer])[]
): Buffer {
  const parts = names.map(([tag, value]) => der(tag, Buffer.from(value)))
  return extension(URI_SAN, sequence(...parts))
}

export function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, ...parts)
}

export function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const digits: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256)
  const head = length < 0x80 ? [length] : [0x80 + digits.length, ...digits]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}

function keyIds({ keyIds: wanted = false }: MintOptions, own: KeyPair, issuer: KeyPair): Buffer[] {
  if (!wanted) return []
  const idOf = ({ publicKey }: KeyPair) =>
    createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest()
  return [
    extension('2.5.29.14', der(0x04, idOf(own))),
    extension('2.5.29.35', sequence(der(0x80, idOf(issuer)))),
  ]
}

function extensions(options: MintOptions, usages: readonly string[] | null): Buffer[] {
  const { pathLength, caUsage = 0x06, uris = [], dnsNames = [], permittedUris = [] } = options
  const list: Buffer[] = []
  if (pathLength !== undefined) {
    const limit = pathLength === null ? [] : [der(0x02, Buffer.from([pathLength]))]
    const basic = sequence(der(0x01, Buffer.from([0xff])), ...limit)
    list.push(extension('2.5.29.19', basic, true))
    list.push(extension('2.5.29.15', der(0x03, Buffer.from([1, caUsage])), true))
  } else if (usages !== null) {
    const ids = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' }
    const used = usages.map((usage) => oid(usage === 'server' ? ids.server : ids.client))
    list.push(extension('2.5.29.37', sequence(...used)))
  }
  if (permittedUris.length > 0) {
    const trees = permittedUris.map((host) => sequence(der(0x86, Buffer.from(host))))
    list.push(extension('2.5.29.30', sequence(der(0xa0, ...trees)), true))
  }
  if (uris.length + dnsNames.length > 0)
    list.push(
      altNames(
        ...uris.map((uri): [number, string] => [0x86, uri]),
        ...dnsNames.map((dns): [number, string] => [0x82, dns]),
      ),
    )
  return [...list, ...(options.extensions ?? [])]
}

/** A common name; with another tag than UTF8String, e.g. 0x13, PrintableString. */
export function subject(name: string, tag = 0x0c): Buffer {
  if (name === '') return sequence()
  const attribute = sequence(oid('2.5.4.3'), der(tag, Buffer.from(name)))
  return sequence(der(0x31, attribute))
}

function time(date: Date): Buffer {
  return der(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]|\.\d+/g, '')}`))
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const digits = [arc % 128]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      digits.unshift((left % 128) + 128)
    bytes.push(...digits)
  }
  return der(0x06, Buffer.from(bytes))
}
