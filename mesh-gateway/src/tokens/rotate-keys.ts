/**
 * Creates, rotates and retires signing keys. Works from any process: a running gateway sees the change in the
 * directory. The next key is published long before it signs, and the old one verifies during the overlap, so a rotation
 * interrupts nothing.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { diskError, readWhole, writeAtomic } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { withLock } from '@clawmesh/proto/lock'
import { formatTokenKeyFile, isTokenKeyFile, parseTokenKeyFile } from '@clawmesh/proto/pkcs11'
import {
  LOCK_FILE,
  MAX_FILE_BYTES,
  mustReadRingContent,
  RING_FILE,
  type RingContent,
  type RingEntry,
  readRingContent,
  thumbprint,
  unusable,
} from './key-ring-file.ts'
import type { KeyToken } from './key-token.ts'
import { inOwnDirectory } from './keys-elsewhere.ts'

export interface RingChangeOptions {
  readonly dir: string
  /** Makes keys in it; null, as by default: keys are files. */
  readonly token?: KeyToken | null
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

export interface RotateOptions extends RingChangeOptions {
  /** How long the old key verifies, in milliseconds. Default 24 hours. */
  readonly overlapMs?: number
  /** How long the next key must have been published, in milliseconds; a rotation before that is refused. Default 0. */
  readonly leastPublishedMs?: number
}

const DEFAULT_OVERLAP_MS = 24 * 60 * 60 * 1000

/** Creates the directory and its first keys when there is none; otherwise does nothing. True when it created them. */
export async function ensureRing(options: RingChangeOptions): Promise<boolean> {
  if ((await readRingContent(options.dir)) !== null) return false
  return inOwnDirectory(options.dir, () => makeRing(options))
}

async function makeRing(options: RingChangeOptions): Promise<boolean> {
  const { dir, now = Date.now } = options
  await mkdir(dir, { recursive: true, mode: 0o700 }).catch(async (error) => {
    // on a read-only file system the recursive one says ENOENT (Node), and the plain one why
    const reason = await mkdir(dir).then(
      () => error,
      (plain: unknown) => plain,
    )
    throw diskError(dir, reason)
  })
  return await withLock(join(dir, LOCK_FILE), async () => {
    if ((await readRingContent(dir)) !== null) return false
    const foreign = (await readdir(dir)).filter((name) => name.endsWith('.pem'))
    if (foreign.length > 0)
      throw unusable(
        `${dir} holds keys but no ${RING_FILE}`,
        undefined,
        `restore ${RING_FILE}, or move the .pem files away to begin with new keys`,
      )
    await save(dir, {
      keys: [await addKey(options, 'active', now()), await addKey(options, 'next', now())],
    })
    return true
  })
}

/**
 * The next key signs from now on; the previous one verifies during the overlap; expired ones are deleted.
 * @throws MeshError MESH_KEYS_TOO_SOON when verifiers may not know the next key yet
 */
export async function rotateRing(options: RotateOptions): Promise<RingContent> {
  const { overlapMs = DEFAULT_OVERLAP_MS, leastPublishedMs = 0, now = Date.now } = options
  return await change(options, async ({ keys }) => {
    const waitMs = leastPublishedMs - publishedMs(keys, now())
    // with 0 the rotation never waits, whatever the clock says
    if (waitMs > 0 && leastPublishedMs > 0) throw tooSoon(waitMs)
    const until = new Date(now() + overlapMs).toISOString()
    const alive = keys.filter((key) => key.until === null || Date.parse(key.until) > now())
    const next = alive.find((key) => key.role === 'next') ?? (await addKey(options, 'next', now()))
    const rest = alive
      .filter((key) => key.kid !== next.kid)
      .map((key): RingEntry => (key.role === 'active' ? { ...key, role: 'verifying', until } : key))
    return [{ ...next, role: 'active' }, await addKey(options, 'next', now()), ...rest]
  })
}

/** How long the next key has been published; infinite when it was published from the start. */
function publishedMs(keys: readonly RingEntry[], nowMs: number): number {
  const created = (role: RingEntry['role']) =>
    Date.parse(keys.find((key) => key.role === role)?.created ?? '')
  const next = created('next')
  if (Number.isNaN(next)) return 0
  // created with the ring: verifiers that know the ring's keys know this one
  if (keys.length === 2 && Math.abs(next - created('active')) < 1000) return Infinity
  return nowMs - next
}

function tooSoon(waitMs: number): MeshError {
  return new MeshError('MESH_KEYS_TOO_SOON', undefined, {
    retryAfterMs: waitMs,
    hint: `rotate again in ${Math.ceil(waitMs / 1000)} seconds; with --force at once, if a key has leaked`,
  })
}

/** Removes a key at once: tokens that it signed are refused from now on. @throws MeshError MESH_KEYS_UNUSABLE */
export async function retireKey(
  options: RingChangeOptions & { kid: string },
): Promise<RingContent> {
  const { dir, kid, now = Date.now } = options
  return await change(options, async ({ keys }) => {
    const key = keys.find((one) => one.kid === kid)
    if (key === undefined)
      throw unusable(
        `there is no key ${JSON.stringify(kid)} in ${dir}`,
        undefined,
        '`mesh-gateway keys list` shows which there are',
      )
    if (key.role === 'active')
      throw unusable(
        `key ${kid} is the one that signs`,
        undefined,
        'run `mesh-gateway keys rotate` first, then retire it',
      )
    const rest = keys.filter((one) => one.kid !== kid)
    return key.role === 'next' ? [...rest, await addKey(options, 'next', now())] : rest
  })
}

async function change(
  options: RingChangeOptions,
  edit: (content: RingContent) => Promise<RingEntry[]>,
): Promise<RingContent> {
  const { dir, token = null } = options
  const before = await mustReadRingContent(dir)
  const underLock = (work: () => Promise<RingContent>) =>
    inOwnDirectory(dir, () => withLock(join(dir, LOCK_FILE), work))
  return underLock(async () => {
    const content = (await readRingContent(dir)) ?? before
    const after = { keys: await edit(content) }
    await save(dir, after)
    const kept = new Set(after.keys.map((key) => key.kid))
    // only after the ring no longer names them: a concurrent reader finds every key that it looks for
    for (const key of content.keys)
      if (!kept.has(key.kid)) await removeKey(join(dir, `${key.kid}.pem`), token)
    return after
  })
}

async function addKey(
  { dir, token = null }: RingChangeOptions,
  role: 'active' | 'next',
  nowMs: number,
): Promise<RingEntry> {
  const { kid, file } = token === null ? newFile() : newInToken(token)
  await writeAtomic(join(dir, `${kid}.pem`), file)
  return { kid, created: new Date(nowMs).toISOString(), role, until: null }
}

function newFile() {
  const { kid, privateKey } = generateKey()
  return { kid, file: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

function newInToken({ uri, once }: KeyToken) {
  for (;;) {
    const { id, publicKey } = once.generate('clawmesh signing key')
    const kid = thumbprint(publicKey)
    const secret = randomBytes(32)
    if (!kid.startsWith('-'))
      return { kid, file: formatTokenKeyFile({ uri, id, publicKey, secret }) }
    once.destroy(id)
  }
}

/** No token verifies with it any more, whether or not a token lets it go. */
async function removeKey(path: string, token: KeyToken | null): Promise<void> {
  const text = token === null ? '' : await readText(path)
  await rm(path, { force: true })
  if (token === null || !isTokenKeyFile(text)) return
  try {
    token.once.destroy(parseTokenKeyFile(text, path).id)
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
  }
}

async function readText(path: string): Promise<string> {
  return readWhole(path, { maxBytes: MAX_FILE_BYTES }).then(
    (bytes) => bytes.toString('utf8'),
    () => '',
  )
}

/** One thumbprint in 64 begins with a hyphen, and commands would take it for an option: such a key is discarded. */
export function generateKey(): { readonly kid: string; readonly privateKey: KeyObject } {
  for (;;) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const kid = thumbprint(createPublicKey(privateKey))
    if (!kid.startsWith('-')) return { kid, privateKey }
  }
}

async function save(dir: string, content: RingContent): Promise<void> {
  await writeAtomic(join(dir, RING_FILE), `${JSON.stringify(content, null, 2)}\n`)
}
