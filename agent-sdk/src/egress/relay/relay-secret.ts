/**
 * The secret by which programs of this machine use a relay: made once, in a file that its owner alone can read. It opens this
 * relay and nothing else, so it may stand in the proxy URL of a program that can send nothing better.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { link, mkdir, open, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MeshError, Secret } from '@clawmesh/proto'
import { describeFileFault } from '../../files/file-fault.ts'
import { readWhole } from '../../files/read-whole.ts'

const SECRET_BYTES = 32
const FORM = /^[A-Za-z0-9_-]{43,86}$/
const MAX_FILE_BYTES = 1024

/**
 * The secret of a file, which is made when it is not there. Of two processes that make it at once both get the same one.
 * @throws MeshError MESH_RELAY_SECRET when the file cannot be used, MESH_DISK_WRITE when it cannot be made
 */
export async function openRelaySecret(file: string): Promise<Secret<string>> {
  const known = await readIfThere(file)
  if (known !== null) return known
  await create(file)
  return readRelaySecret(file)
}

/** The secret of a file that is there. @throws MeshError MESH_RELAY_SECRET */
export async function readRelaySecret(file: string): Promise<Secret<string>> {
  const known = await readIfThere(file)
  if (known === null)
    throw fault(file, 'it does not exist', {
      hint: 'start the relay or run `mesh-agent openclaw setup`: both make it',
    })
  return known
}

/** In a time that says nothing about how much of it is right. */
export function isRelaySecret(shown: string, secret: Secret<string>): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(shown), digest(secret.reveal()))
}

/** Null when there is no file. */
async function readIfThere(file: string): Promise<Secret<string> | null> {
  try {
    const { mode, uid } = await stat(file)
    const text = (await readWhole(file, { maxBytes: MAX_FILE_BYTES })).toString('latin1')
    checkOwner(file, mode, uid)
    const secret = text.trimEnd()
    if (!FORM.test(secret))
      throw fault(file, secret === '' ? 'it is empty' : 'it holds something else', {
        hint: 'remove the file, run `mesh-agent openclaw setup` again, and restart the relay and OpenClaw',
      })
    return new Secret(secret)
  } catch (error) {
    if (error instanceof MeshError) throw error
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw fault(file, describeFileFault(error), { cause: error })
  }
}

/** Windows has no such modes. */
function checkOwner(file: string, mode: number, uid: number): void {
  const own = process.geteuid?.()
  if (own === undefined) return
  if ((mode & 0o077) !== 0)
    throw fault(file, `others can use it (mode ${(mode & 0o777).toString(8).padStart(4, '0')})`, {
      hint: `chmod 600 ${file}; if others may have read it, remove it and run \`mesh-agent openclaw setup\` again`,
    })
  if (uid !== own && own !== 0) throw fault(file, 'another user owns it')
}

/** Whole or not at all, and never in place of one that is there. */
async function create(file: string): Promise<void> {
  const draft = `${file}.${randomBytes(8).toString('hex')}.draft`
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(`${randomBytes(SECRET_BYTES).toString('base64url')}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await link(draft, file)
  } catch (cause) {
    // another process was first: its secret counts
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return
    throw new MeshError('MESH_DISK_WRITE', `cannot write ${file} (${describeFileFault(cause)})`, {
      cause,
    })
  } finally {
    await rm(draft, { force: true }).catch(() => {})
  }
}

function fault(
  file: string,
  what: string,
  more: { readonly hint?: string; readonly cause?: unknown } = {},
): MeshError {
  return new MeshError('MESH_RELAY_SECRET', `the secret file ${file} cannot be used: ${what}`, more)
}
