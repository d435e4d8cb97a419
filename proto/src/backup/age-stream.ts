/**
 * Encrypts and decrypts a stream in the age format (age-encryption.org/v1), with a passphrase: chunks of 64 KiB, each
 * with ChaCha20-Poly1305, the last one marked as such. So no chunk can be altered, moved, left out or appended, and a
 * stream that was cut is noticed. `age --decrypt` opens it. docs/decisions/archives-are-age-files.md
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Secret } from '../secret.ts'
import { makeHeader, payloadKey, readHeader } from './age-header.ts'
import { createByteReader } from './byte-reader.ts'
import { invalidBackup } from './faults.ts'

const CIPHER = 'chacha20-poly1305'
const CHUNK_BYTES = 65_536
const TAG_BYTES = 16
const NONCE_BYTES = 16

/** @param workFactor log2 of the rounds of scrypt. Default 17: about half a second, and 128 MiB. */
export async function* encrypt(
  source: AsyncIterable<Uint8Array>,
  passphrase: Secret,
  workFactor?: number,
): AsyncGenerator<Buffer> {
  const header = await makeHeader(passphrase, workFactor)
  const nonce = randomBytes(NONCE_BYTES)
  const key = payloadKey(header.fileKey, nonce)
  yield Buffer.concat([header.bytes, nonce])
  const input = createByteReader(source)
  try {
    let chunk = await input.take(CHUNK_BYTES)
    for (let counter = 0; ; counter += 1) {
      // one chunk ahead: only the last one is marked, and it is empty only if all is
      const next = await input.take(CHUNK_BYTES)
      const last = next.length === 0
      const cipher = createCipheriv(CIPHER, key, nonceOf(counter, last), {
        authTagLength: TAG_BYTES,
      })
      yield Buffer.concat([cipher.update(chunk), cipher.final(), cipher.getAuthTag()])
      if (last) return
      chunk = next
    }
  } finally {
    await input.close()
  }
}

/** Nothing is yielded that was not authenticated. @throws MeshError MESH_BACKUP_INVALID, MESH_BACKUP_PASSPHRASE */
export async function* decrypt(
  source: AsyncIterable<Uint8Array>,
  passphrase: Secret,
): AsyncGenerator<Buffer> {
  const input = createByteReader(source)
  try {
    const fileKey = await readHeader(input, passphrase)
    const nonce = await input.take(NONCE_BYTES)
    if (nonce.length < NONCE_BYTES) throw cut()
    const key = payloadKey(fileKey, nonce)
    let chunk = await input.take(CHUNK_BYTES + TAG_BYTES)
    for (let counter = 0; ; counter += 1) {
      const next = await input.take(CHUNK_BYTES + TAG_BYTES)
      const last = next.length === 0
      if (chunk.length < TAG_BYTES) throw cut()
      const plain = open(chunk, key, counter, last)
      if (last && plain.length === 0 && counter > 0) throw invalidBackup('it was altered')
      if (plain.length > 0) yield plain
      if (last) return
      chunk = next
    }
  } finally {
    await input.close()
  }
}

function open(chunk: Buffer, key: Buffer, counter: number, last: boolean): Buffer {
  const decipher = createDecipheriv(CIPHER, key, nonceOf(counter, last), {
    authTagLength: TAG_BYTES,
  })
  const end = chunk.length - TAG_BYTES
  decipher.setAuthTag(chunk.subarray(end))
  try {
    return Buffer.concat([decipher.update(chunk.subarray(0, end)), decipher.final()])
  } catch {
    throw last ? cut() : invalidBackup('it was altered')
  }
}

function cut() {
  return invalidBackup('it was cut off or altered', 'take another copy: half an archive is none')
}

/** 11 bytes of counter, and one that marks the last chunk. */
function nonceOf(counter: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(counter, 5, 6)
  nonce[11] = last ? 1 : 0
  return nonce
}
