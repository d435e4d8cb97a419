/**
 * Proves a restored CA before it takes its place, moves its list numbers forward, and finds what it has forgotten: what
 * the directory that it replaces, or a published list, says is revoked and its records do not.
 */
import { MeshError } from '@clawmesh/proto'
import { readBounded } from '../disk/read-bounded.ts'
import { listsIn } from '../revocation/read-list.ts'
import { type RevokedRecord, readRevoked, recordRevoked } from '../revocation/revoked-records.ts'
import { raiseListNumber, readListNumber } from '../revocation/sign-list.ts'
import { loadCa } from './load-ca.ts'

export interface ProveOptions {
  /** The directory with the restored files. */
  readonly staged: string
  /** The directory that it replaces; null for none. */
  readonly before: string | null
  /** A published list in PEM, with which the records are compared; null for none. */
  readonly crlFile: string | null
  /** Records in the restored CA what the other two say is revoked. */
  readonly keepRevocations: boolean
  readonly nowMs: number
}

const MAX_CRL_BYTES = 64 * 1024 * 1024
const SHOWN = 10

/**
 * @returns what speaks against it, each to be read after "the restore"
 * @throws MeshError MESH_PKI_INVALID and others when the restored CA cannot be used
 */
export async function proveRestored(options: ProveOptions): Promise<readonly string[]> {
  const { staged, before, crlFile, keepRevocations, nowMs } = options
  const ca = await loadCa(staged)
  const restored = await readRevoked(staged)
  const reasons: string[] = []
  let least = await readListNumber(staged)
  const missing = new Map<string, RevokedRecord>()
  const old = before === null ? null : await readOld(before)
  if (old !== null && old.root !== null && old.root !== ca.root.fingerprint)
    reasons.push(`would replace another CA, of the root ${old.root}`)
  else if (old !== null) {
    least = Math.max(least, old.number)
    for (const [serial, record] of old.revoked) missing.set(serial, record)
  }
  for (const list of crlFile === null ? [] : await readLists(crlFile)) {
    least = Math.max(least, list.number)
    for (const serial of list.serials)
      if (!missing.has(serial)) missing.set(serial, unknownRecord(serial, nowMs))
  }
  const back = [...missing.values()].filter(
    ({ serial, notAfter }) => !restored.has(serial) && notAfter.getTime() > nowMs,
  )
  if (keepRevocations) for (const record of back) recordRevoked(staged, record)
  else if (back.length > 0) reasons.push(inWords(back))
  await raiseListNumber(staged, least, nowMs)
  return reasons
}

/** Of a broken CA what can be read: it is why one restores. */
async function readOld(dir: string) {
  const readable = <T>(what: Promise<T>, otherwise: T) =>
    what.catch((error: unknown) => {
      if (error instanceof MeshError) return otherwise
      throw error
    })
  return {
    root: await readable<string | null>(
      loadCa(dir).then(({ root }) => root.fingerprint),
      null,
    ),
    revoked: await readable<ReadonlyMap<string, RevokedRecord>>(readRevoked(dir), new Map()),
    number: await readListNumber(dir),
  }
}

async function readLists(path: string) {
  const lists = listsIn(await readBounded(path, MAX_CRL_BYTES, 'MESH_PKI_INVALID'))
  if (lists.length > 0) return lists
  throw new MeshError('MESH_PKI_INVALID', `there is no revocation list in ${path}`, {
    hint: 'name a file that `mesh-pki crl` wrote, such as revocation.crl of a gateway',
  })
}

/** Of a list: its record is not known, so it never leaves the lists of this CA. */
function unknownRecord(serial: string, nowMs: number): RevokedRecord {
  return {
    serial,
    issuer: null,
    spiffeId: null,
    reason: 'unspecified',
    revoked: new Date(nowMs),
    notAfter: new Date(Date.UTC(9999, 0)),
  }
}

function inWords(records: readonly RevokedRecord[]): string {
  const shown = records
    .slice(0, SHOWN)
    .map(({ serial, spiffeId }) => (spiffeId === null ? serial : `${spiffeId} (${serial})`))
  const more = records.length > SHOWN ? [`${records.length - SHOWN} more`] : []
  return `would let in again what is revoked now: ${[...shown, ...more].join(', ')}`
}
