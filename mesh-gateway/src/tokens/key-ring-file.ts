/**
 * The directory of signing keys on disk: one PKCS #8 PEM file per key, named by its kid, and `ring.json`, which names
 * the key that signs. Reading proves every key. Never prints a private key, and holds it no longer than necessary.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import {
  createDisk,
  type Disk,
  describeFileFault,
  type FoundNow,
  readWhole,
} from '@clawmesh/agent-sdk/mesh'
import { accessHint, MeshError } from '@clawmesh/proto'
import { isTokenKeyFile, parseTokenKeyFile, type TokenKeyFile } from '@clawmesh/proto/pkcs11'
import { z } from 'zod'
import { parseJsonFile } from '../policy/read/json-file.ts'
import { codeOf } from '../process/error-code.ts'

export const RING_FILE = 'ring.json'
export const LOCK_FILE = 'ring.lock'
/** How long verifiers may cache the published keys. Some of them may not know a key that is younger. */
export const JWKS_MAX_AGE_MS = 300_000

/** For the ring, and for each key. */
export const MAX_FILE_BYTES = 256 * 1024

/** Times are ISO 8601. A key is published before it signs, signs while it is active, and verifies until its end. */
const ringEntry = z.strictObject({
  kid: z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'must be the thumbprint of a key, 43 characters'),
  created: z.iso.datetime(),
  role: z.enum(['active', 'next', 'verifying']),
  /** When a verifying key stops verifying; null for other roles. */
  until: z.iso.datetime().nullable(),
})
const ringFile = z.strictObject({ keys: z.array(ringEntry).min(1).max(100) })

export type RingEntry = z.infer<typeof ringEntry>
export type RingContent = z.infer<typeof ringFile>

export interface RingKey extends RingEntry {
  /** Null: it is in a token. */
  readonly privateKey: KeyObject | null
  readonly publicKey: KeyObject
  /** Where the private key is, when it is in a token (PKCS #11). */
  readonly token: TokenKeyFile | null
  /** Milliseconds since the epoch; null: while it is in the ring. */
  readonly untilMs: number | null
}

/** @throws MeshError MESH_KEYS_UNUSABLE */
export async function readRing(
  dir: string,
  disk: Disk = createDisk(),
): Promise<FoundNow<readonly RingKey[]>> {
  const text = await readIn(dir, RING_FILE, disk)
  const { keys } = parseRing(text, join(dir, RING_FILE))
  const pems = await Promise.all(keys.map((entry) => readIn(dir, `${entry.kid}.pem`, disk)))
  const hash = createHash('sha256').update(text)
  for (const pem of pems) hash.update('\0').update(pem)
  return {
    digest: hash.digest('base64'),
    parse: () => keys.map((entry, i) => readKey(dir, entry, pems[i] ?? '')),
  }
}

/** Null when there is no ring yet. @throws MeshError MESH_KEYS_UNUSABLE */
export async function readRingContent(dir: string): Promise<RingContent | null> {
  const path = join(dir, RING_FILE)
  try {
    const bytes = await readFileOf(dir, RING_FILE)
    return parseRing(bytes.toString('utf8'), path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error instanceof MeshError ? error : unreadable(path, error)
  }
}

/** @throws MeshError MESH_KEYS_UNUSABLE, also when there is no ring yet */
export async function mustReadRingContent(dir: string): Promise<RingContent> {
  const content = await readRingContent(dir)
  if (content !== null) return content
  throw unusable(
    `there are no signing keys in ${dir}`,
    undefined,
    'the first `mesh-gateway start` or `issue-token` makes them',
  )
}

/** The files of the ring as they are. Call it under the lock. @throws MeshError MESH_KEYS_UNUSABLE */
export async function readRingFiles(
  dir: string,
): Promise<readonly { readonly name: string; readonly bytes: Buffer }[]> {
  const { keys } = await mustReadRingContent(dir)
  const disk = createDisk()
  return Promise.all(
    [RING_FILE, ...keys.map(({ kid }) => `${kid}.pem`)].map(async (name) => ({
      name,
      bytes: Buffer.from(await readIn(dir, name, disk)),
    })),
  )
}

/** RFC 7638: SHA-256 of the required members of the JWK in order. */
export function thumbprint(publicKey: KeyObject): string {
  const { crv, kty, x, y } = publicKey.export({ format: 'jwk' })
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
}

export function unusable(message: string, cause?: unknown, hint?: string): MeshError {
  return new MeshError('MESH_KEYS_UNUSABLE', message, {
    ...(cause === undefined ? {} : { cause }),
    ...(hint === undefined ? {} : { hint }),
  })
}

async function readIn(dir: string, name: string, disk: Disk): Promise<string> {
  try {
    return (await readFileOf(dir, name, disk)).toString('utf8')
  } catch (error) {
    throw unreadable(join(dir, name), error)
  }
}

/**
 * systemd copies a directory of credentials into one with all others, each file with the name of the credential before
 * its own: `keys` becomes `keys_ring.json` (systemd.exec(5), LoadCredential=).
 */
async function readFileOf(dir: string, name: string, disk?: Disk): Promise<Buffer> {
  const options = { maxBytes: MAX_FILE_BYTES, ...(disk === undefined ? {} : { disk }) }
  return readWhole(join(dir, name), options).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error
    return readWhole(`${dir}_${name}`, options).catch(() => {
      throw error
    })
  })
}

function unreadable(path: string, error: unknown): MeshError {
  return unusable(
    `cannot read ${path} (${describeFileFault(error)})`,
    error,
    accessHint(error).hint,
  )
}

function parseRing(text: string, path: string): RingContent {
  const read = parseJsonFile(text, path, ringFile)
  if ('faults' in read) throw unusable(read.faults)
  const { keys } = read.value
  if (keys.filter((key) => key.role === 'active').length !== 1)
    throw unusable(`${path}: exactly one key must be active`)
  if (new Set(keys.map((key) => key.kid)).size !== keys.length)
    throw unusable(`${path}: a key is named twice`)
  if (keys.some((key) => (key.role === 'verifying') !== (key.until !== null)))
    throw unusable(`${path}: a verifying key has an end, and no other has`)
  return read.value
}

function readKey(dir: string, entry: RingEntry, pem: string): RingKey {
  const path = join(dir, `${entry.kid}.pem`)
  const token = isTokenKeyFile(pem) ? parseTokenKeyFile(pem, path) : null
  const privateKey = token === null ? readPrivateKey(pem, path) : null
  const publicKey = token?.publicKey ?? createPublicKey(privateKey ?? pem)
  if (publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw unusable(`${path} is not a P-256 key`)
  if (thumbprint(publicKey) !== entry.kid)
    throw unusable(`${path} holds another key than its name says`)
  return {
    ...entry,
    privateKey,
    publicKey,
    token,
    untilMs: entry.until === null ? null : Date.parse(entry.until),
  }
}

function readPrivateKey(pem: string, path: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    // without the cause, which may quote the file
    throw unusable(`${path} is not a private key in PEM`)
  }
}
