/**
 * The header of an age file with one scrypt recipient, the form of `age --passphrase` (age-encryption.org/v1): a random
 * file key, wrapped with a key that scrypt derives from the passphrase, and a MAC over the header.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  scrypt,
  timingSafeEqual,
} from 'node:crypto'
import { promisify } from 'node:util'
import { MeshError } from '../mesh-error.ts'
import type { Secret } from '../secret.ts'
import type { ByteReader } from './byte-reader.ts'
import { invalidBackup } from './faults.ts'

const VERSION = 'age-encryption.org/v1'
const CIPHER = 'chacha20-poly1305'
const TAG_BYTES = 16
const KEY_BYTES = 32
const FILE_KEY_BYTES = 16
const SALT_BYTES = 16
/** Longer lines are not of a header with one recipient. */
const MAX_LINE_BYTES = 128
/** 2^17 rounds of 1 KiB, the minimum that OWASP names for scrypt: 128 MiB, which fits a container of 256 MiB. */
export const DEFAULT_WORK_FACTOR = 17
/** The default of the age command: 256 MiB. A header that asks for more could take the memory of the machine. */
const MAX_WORK_FACTOR = 18
const SCRYPT_BLOCK = 8

const derive = promisify<Buffer, Buffer, number, object, Buffer>(scrypt)

export interface NewHeader {
  readonly bytes: Buffer
  readonly fileKey: Buffer
}

export async function makeHeader(
  passphrase: Secret,
  workFactor = DEFAULT_WORK_FACTOR,
): Promise<NewHeader> {
  const fileKey = randomBytes(FILE_KEY_BYTES)
  const salt = randomBytes(SALT_BYTES)
  const cipher = createCipheriv(CIPHER, await wrapKey(passphrase, salt, workFactor), noNonce(), {
    authTagLength: TAG_BYTES,
  })
  const wrapped = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()])
  const body = `${VERSION}\n-> scrypt ${base64(salt)} ${workFactor}\n${base64(wrapped)}\n---`
  return { bytes: Buffer.from(`${body} ${base64(macOf(fileKey, body))}\n`), fileKey }
}

/**
 * Reads a header, and returns the file key.
 * @throws MeshError MESH_BACKUP_INVALID, MESH_BACKUP_PASSPHRASE
 */
export async function readHeader(input: ByteReader, passphrase: Secret): Promise<Buffer> {
  const line = async () => (await input.line(MAX_LINE_BYTES)) ?? ''
  const version = await line()
  if (version !== VERSION)
    throw invalidBackup(
      version.startsWith('age-encryption.org/')
        ? 'it is encrypted by another version of age'
        : 'it is not an encrypted archive of this program',
    )
  const stanza = await line()
  const [, saltText = '', factor = ''] =
    /^-> scrypt ([A-Za-z0-9+/]{22}) ([1-9]\d?)$/.exec(stanza) ?? []
  const workFactor = Number(factor)
  if (workFactor < 1)
    throw invalidBackup(
      stanza.startsWith('-> ') ? 'it is not encrypted with a passphrase' : 'its header is damaged',
    )
  if (workFactor > MAX_WORK_FACTOR)
    throw invalidBackup(`its passphrase would take ${2 ** (workFactor - 10)} MiB to check`)
  const wrappedText = await line()
  const last = await line()
  const wrapped = fromBase64(wrappedText)
  if (wrapped.length !== FILE_KEY_BYTES + TAG_BYTES || !last.startsWith('--- '))
    throw invalidBackup('its header is damaged')
  const key = await wrapKey(passphrase, fromBase64(saltText), workFactor)
  const fileKey = unwrap(wrapped, key)
  const body = `${version}\n${stanza}\n${wrappedText}\n---`
  const mac = fromBase64(last.slice(4))
  const expected = macOf(fileKey, body)
  if (mac.length !== expected.length || !timingSafeEqual(mac, expected))
    throw invalidBackup('its header was altered')
  return fileKey
}

/** The key of the content, from the file key and the nonce before the content. */
export function payloadKey(fileKey: Buffer, nonce: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', KEY_BYTES))
}

function unwrap(wrapped: Buffer, key: Buffer): Buffer {
  const decipher = createDecipheriv(CIPHER, key, noNonce(), { authTagLength: TAG_BYTES })
  decipher.setAuthTag(wrapped.subarray(FILE_KEY_BYTES))
  try {
    const fileKey = decipher.update(wrapped.subarray(0, FILE_KEY_BYTES))
    return Buffer.concat([fileKey, decipher.final()])
  } catch (cause) {
    throw new MeshError('MESH_BACKUP_PASSPHRASE', 'the passphrase does not open the archive', {
      cause,
    })
  }
}

async function wrapKey(passphrase: Secret, salt: Buffer, workFactor: number): Promise<Buffer> {
  const N = 2 ** workFactor
  const labelled = Buffer.concat([Buffer.from(`${VERSION}/scrypt`), salt])
  return derive(Buffer.from(passphrase.reveal(), 'utf8'), labelled, KEY_BYTES, {
    N,
    r: SCRYPT_BLOCK,
    p: 1,
    maxmem: 256 * N * SCRYPT_BLOCK,
  })
}

function macOf(fileKey: Buffer, body: string): Buffer {
  const key = Buffer.from(hkdfSync('sha256', fileKey, '', 'header', KEY_BYTES))
  return createHmac('sha256', key).update(body).digest()
}

/** The wrapping key is used once, so its nonce may be zero. */
function noNonce(): Buffer {
  return Buffer.alloc(12)
}

/** Without padding, as age has it. */
function base64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}

/** Empty for a text that is not the only one for its bytes (RFC 4648, section 3.5): the MAC does not cover itself. */
function fromBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  return base64(bytes) === text ? bytes : Buffer.alloc(0)
}
