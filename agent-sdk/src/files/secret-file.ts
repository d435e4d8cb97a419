/**
 * A secret of this machine alone: made once, in a file that its owner alone can read. Whole or not at all: of two
 * processes that make it at once both get the same one.
 */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type ErrorCode, MeshError, Secret } from '@clawmesh/proto'
import { describeFileFault } from './file-fault.ts'
import { readWhole } from './read-whole.ts'
import { diskError, isTaken, type WriteOptions, writeAtomic } from './write-atomic.ts'

/** What a secret is for, and what to do about a file that cannot be used. */
export interface SecretFileKind {
  readonly code: ErrorCode
  /** Of the whole secret. One that is made here is 43 characters of base64url. */
  readonly form: RegExp
  /** The hint for a file that is empty or holds something else. */
  readonly whenSpoilt: string
  /** What to do after `chmod 600` if others may have read the file. */
  readonly whenKnown: string
}

const SECRET_BYTES = 32
const MAX_FILE_BYTES = 4_096

/**
 * The secret of a file, which is made when it is not there.
 * @throws MeshError the code of the kind when the file cannot be used, MESH_DISK_WRITE when it cannot be made
 */
export async function openSecretFile(file: string, kind: SecretFileKind): Promise<Secret<string>> {
  const known = await readSecretFile(file, kind)
  if (known !== null) return known
  await create(file)
  const made = await readSecretFile(file, kind)
  if (made === null) throw fault(file, kind, 'it was removed at once')
  return made
}

/** A new one, which is in no file yet. */
export function makeSecret(): Secret<string> {
  return new Secret(randomBytes(SECRET_BYTES).toString('base64url'))
}

/** Takes the place of what the file holds, also where that cannot be used. @throws MeshError MESH_DISK_WRITE */
export async function replaceSecretFile(file: string, secret: Secret<string>): Promise<void> {
  await write(file, secret)
}

/** Null when there is no file. @throws MeshError the code of the kind when it cannot be used */
export async function readSecretFile(
  file: string,
  kind: SecretFileKind,
): Promise<Secret<string> | null> {
  try {
    const text = await readWhole(file, {
      maxBytes: MAX_FILE_BYTES,
      judge: ({ mode, uid }) => checkOwner(file, kind, mode, uid),
    })
    const secret = text.toString('latin1').trimEnd()
    if (!kind.form.test(secret))
      throw fault(file, kind, secret === '' ? 'it is empty' : 'it holds something else', {
        hint: kind.whenSpoilt,
      })
    return new Secret(secret)
  } catch (error) {
    if (error instanceof MeshError) throw error
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw fault(file, kind, describeFileFault(error), { cause: error })
  }
}

/** Windows has no such modes. */
function checkOwner(file: string, kind: SecretFileKind, mode: number, uid: number): void {
  const own = process.geteuid?.()
  if (own === undefined) return
  if ((mode & 0o077) !== 0) {
    const shown = (mode & 0o777).toString(8).padStart(4, '0')
    throw fault(file, kind, `others can use it (mode ${shown})`, {
      hint: `chmod 600 ${file}; if others may have read it, ${kind.whenKnown}`,
    })
  }
  if (uid !== own && own !== 0) throw fault(file, kind, 'another user owns it')
}

/** Never in place of one that is there. */
async function create(file: string): Promise<void> {
  try {
    await write(file, makeSecret(), { replaces: false })
  } catch (error) {
    // another process was first: its secret counts
    if (!isTaken(error)) throw error
  }
}

async function write(file: string, secret: Secret<string>, options?: WriteOptions): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw diskError(file, error)
  })
  await writeAtomic(file, `${secret.reveal()}\n`, options)
}

function fault(
  file: string,
  { code }: SecretFileKind,
  what: string,
  more: { readonly hint?: string; readonly cause?: unknown } = {},
): MeshError {
  return new MeshError(code, `the secret file ${file} cannot be used: ${what}`, more)
}
