/** Parses the list format before journals: one JSON document. The next change turns it into a journal. */
import { hash } from 'node:crypto'
import { z } from 'zod'
import { parseJsonFile } from '../policy/read/json-file.ts'
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
  if (bytes.length === 0) throw brokenList(path, 'it is empty')
  const read = parseJsonFile(bytes.toString('utf8'), path, file)
  if ('faults' in read) throw brokenList(path, read.faults)
  const mark = firstMark(hash('sha256', bytes, 'hex'))
  return { entries: read.value.revoked, position: { list: null, begunMs: 0, seq: 0, mark } }
}
