/** The list as versions before journals wrote it: one JSON document. It is read, and becomes a journal with the next change. */
import { hash } from 'node:crypto'
import { z } from 'zod'
import { type RevocationEntry, readEntry } from './entry.ts'
import { firstMark, type Position } from './journal-lines.ts'
import { brokenList } from './list-faults.ts'

const entry = z.unknown().transform((from, context): RevocationEntry => {
  const read = readEntry(from)
  if (typeof read !== 'string') return read
  context.addIssue({ code: 'custom', message: read })
  return z.NEVER
})
const file = z.strictObject({ revoked: z.array(entry).max(100_000) })

export const MAX_OLD_BYTES = 32 * 1024 * 1024

/** @throws MeshError MESH_REVOCATION_INVALID */
export function parseOldFormat(
  bytes: Buffer,
  path: string,
): { readonly entries: readonly RevocationEntry[]; readonly position: Position } {
  let json: unknown
  try {
    json = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw brokenList(path, bytes.length === 0 ? 'it is empty' : 'it is not JSON', cause)
  }
  const result = file.safeParse(json)
  if (!result.success) throw brokenList(path, z.prettifyError(result.error))
  const mark = firstMark(hash('sha256', bytes, 'hex'))
  return { entries: result.data.revoked, position: { list: null, begunMs: 0, seq: 0, mark } }
}
