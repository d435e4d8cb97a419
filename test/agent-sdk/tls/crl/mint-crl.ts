/** Mints revocation lists that a decent CA would never sign: delta and partial ones, odd numbers, times and algorithms. */
import { constants, sign } from 'node:crypto'
import { der, extension, type Minted, sequence } from '../mint.ts'

export interface MintCrlOptions {
  readonly issuer: Minted
  /** Null: the list has none. Default 1. */
  readonly number?: number | null
  /** Default a minute ago. */
  readonly thisUpdate?: Date
  /** Default in an hour. */
  readonly nextUpdate?: Date
  /** Hexadecimal. */
  readonly serials?: readonly string[]
  /** Whole extensions, DER, added to the number. */
  readonly extensions?: readonly Buffer[]
  /** The AlgorithmIdentifier, DER, and what signs so. Default ECDSA with SHA-256. */
  readonly scheme?: Scheme
}

export interface Scheme {
  readonly algorithm: Buffer
  readonly sign: (body: Buffer, issuer: Minted) => Buffer
}

/** Parts of RSASSA-PSS-params; what is undefined is left out. */
export interface PssParts {
  readonly hash?: Hash
  readonly mask?: Hash
  readonly salt?: number
  readonly trailer?: number
  /** What the signature is really made with. */
  readonly really?: { readonly hash: string; readonly salt: number }
}

type Hash = 'sha1' | 'sha256' | 'sha384' | 'sha512'

export const ECDSA_SHA256 = scheme('06082a8648ce3d040302', 'sha256')
export const ECDSA_SHA1 = scheme('06072a8648ce3d0401', 'sha1')
export const RSA_SHA1 = scheme('06092a864886f70d0101050500', 'sha1')

const HASHES: Readonly<Record<Hash, string>> = {
  sha1: '06052b0e03021a0500',
  sha256: '06096086480165030402010500',
  sha384: '06096086480165030402020500',
  sha512: '06096086480165030402030500',
}
const MGF1 = '06092a864886f70d010108'
const RSASSA_PSS = '06092a864886f70d01010a'

export function scheme(algorithm: string, hash: string): Scheme {
  return {
    algorithm: sequence(Buffer.from(algorithm, 'hex')),
    sign: (body, { privateKey }) => sign(hash, body, privateKey),
  }
}

export function pss({ hash, mask, salt, trailer, really }: PssParts): Scheme {
  const of = (name: Hash) => sequence(Buffer.from(HASHES[name], 'hex'))
  const parts = [
    ...(hash === undefined ? [] : [der(0xa0, of(hash))]),
    ...(mask === undefined ? [] : [der(0xa1, sequence(Buffer.from(MGF1, 'hex'), of(mask)))]),
    ...(salt === undefined ? [] : [der(0xa2, der(0x02, Buffer.from([salt])))]),
    ...(trailer === undefined ? [] : [der(0xa3, der(0x02, Buffer.from([trailer])))]),
  ]
  const used = really ?? { hash: hash ?? 'sha1', salt: salt ?? 20 }
  const padding = constants.RSA_PKCS1_PSS_PADDING
  return {
    algorithm: sequence(Buffer.from(RSASSA_PSS, 'hex'), sequence(...parts)),
    sign: (body, { privateKey: key }) =>
      sign(used.hash, body, { key, padding, saltLength: used.salt }),
  }
}

/** An issuingDistributionPoint of these parts, with the URI of step-ca before them. */
export function distributionPoint(critical: boolean, ...parts: readonly Buffer[]): Buffer {
  const name = der(0xa0, der(0xa0, der(0x86, Buffer.from('https://ca.example/1.0/crl'))))
  return extension('2.5.29.28', sequence(name, ...parts), critical)
}

/** DER of a list. */
export function mintCrl(options: MintCrlOptions): Buffer {
  const { issuer, number = 1, serials = [], scheme: by = ECDSA_SHA256 } = options
  const thisUpdate = options.thisUpdate ?? new Date(Date.now() - 60_000)
  const nextUpdate = options.nextUpdate ?? new Date(Date.now() + 3_600_000)
  const entries = serials.map((serial) =>
    sequence(
      der(0x02, Buffer.from(serial.padStart(serial.length + (serial.length % 2), '0'), 'hex')),
      time(thisUpdate),
    ),
  )
  const numbered = number === null ? [] : [extension('2.5.29.20', der(0x02, Buffer.from([number])))]
  const extensions = [...numbered, ...(options.extensions ?? [])]
  const body = sequence(
    der(0x02, Buffer.from([1])),
    by.algorithm,
    subjectOf(issuer),
    time(thisUpdate),
    time(nextUpdate),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    ...(extensions.length === 0 ? [] : [der(0xa0, sequence(...extensions))]),
  )
  return sequence(body, by.algorithm, der(0x03, Buffer.from([0]), by.sign(body, issuer)))
}

export function crlPem(list: Buffer): string {
  const body = list.toString('base64').replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN X509 CRL-----\n${body}\n-----END X509 CRL-----\n`
}

function subjectOf({ name }: Minted): Buffer {
  const attribute = sequence(Buffer.from('0603550403', 'hex'), der(0x0c, Buffer.from(name)))
  return sequence(der(0x31, attribute))
}

function time(date: Date): Buffer {
  return der(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]|\.\d+/g, '')}`))
}
