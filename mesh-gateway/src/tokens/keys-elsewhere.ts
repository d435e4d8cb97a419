/**
 * Directories of signing keys that are mounted from elsewhere: a Secret or a CSI volume of Kubernetes, credentials of
 * systemd, any read-only file system. A gateway reads and follows them as others. Nothing is changed there: the change
 * would be lost, or fail half-way, and the place where the keys come from would know nothing of it.
 */
import { lstat, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { codeOf } from '../process/error-code.ts'

const ATOMIC_WRITER_LINK = '..data'
const CREDENTIALS = '/run/credentials/'
const EXPORT =
  'rotate in the directory that the Secret is made of, then `mesh-gateway keys export --secret NAME --out - | kubectl apply --server-side -f -`: gateways take it over when kubelet has written it'
const STORE =
  'where a store writes the files (Vault, a cloud KMS by CSI), rotate a copy of the directory and put it into the store'

interface Elsewhere {
  /** To be read after "the keys in DIR". */
  readonly what: string
  readonly hint: string
}

/**
 * Changes the directory, where it is this machine's own.
 * @throws MeshError MESH_KEYS_READ_ONLY when it comes from elsewhere; nothing is changed then
 */
export async function inOwnDirectory<T>(dir: string, change: () => Promise<T>): Promise<T> {
  const elsewhere = await mountedFrom(dir)
  if (elsewhere !== null) throw readOnly(dir, elsewhere)
  try {
    return await change()
  } catch (error) {
    const denied = error instanceof MeshError ? whenDenied(error) : null
    throw denied === null ? error : readOnly(dir, denied)
  }
}

function readOnly(dir: string, { what, hint }: Elsewhere): MeshError {
  return new MeshError('MESH_KEYS_READ_ONLY', `the keys in ${dir} ${what}`, { hint })
}

/** Null: it is a directory as others. */
async function mountedFrom(dir: string): Promise<Elsewhere | null> {
  if (await isKubernetesVolume(dir))
    return { what: 'are a volume of Kubernetes', hint: `${EXPORT}; ${STORE}` }
  if (dir.startsWith(CREDENTIALS))
    return {
      what: 'are credentials of systemd',
      hint: 'rotate in the directory that LoadCredential= of the unit names, then restart the unit: credentials are copied when it starts',
    }
  return null
}

/** @param error of a file that could not be written, whose hint says how this user gets access */
function whenDenied(error: MeshError): Elsewhere | null {
  const code = codeOf(error.cause)
  if (code !== 'EROFS' && code !== 'EACCES' && code !== 'EPERM') return null
  return {
    what: code === 'EROFS' ? 'are on a read-only file system' : 'may be read only by this user',
    hint: `${error.hint}; keys that come from elsewhere: rotate them where they come from, as a user that may write there; for a Secret: ${EXPORT}; ${STORE}`,
  }
}

/** kubelet and CSI drivers write all files of a volume through one link, which they swap. */
async function isKubernetesVolume(dir: string): Promise<boolean> {
  const found = await lstat(join(dir, ATOMIC_WRITER_LINK)).catch(() => null)
  if (found?.isSymbolicLink() === true) return true
  const ring = await readlink(join(dir, 'ring.json')).catch(() => '')
  return ring.startsWith(`${ATOMIC_WRITER_LINK}/`)
}
