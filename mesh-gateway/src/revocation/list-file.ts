/** The gateway's own revocation list as it lies on disk: who or what is refused, since when, why, until when. */
import { MeshError } from '@clawmesh/proto'
import { z } from 'zod'
import { withLock } from '../config/with-lock.ts'
import { writeAtomic } from '../config/write-atomic.ts'
import { type FileReading, readBytes } from './read-changed.ts'

export const REVOCATION_KINDS = ['certificate', 'agent', 'txn', 'token'] as const
export type RevocationKind = (typeof REVOCATION_KINDS)[number]

const FORMS: Readonly<Record<RevocationKind, RegExp>> = {
  // SHA-256 of the certificate, or its serial number
  certificate: /^(?:[0-9a-f]{64}|(?:[0-9a-f]{2}){1,20})$/,
  agent: /^spiffe:\/\/[^\s?#]{1,2000}$/,
  txn: /^[\w.:-]{1,128}$/,
  token: /^[\w.:-]{1,128}$/,
}

const entry = z
  .strictObject({
    kind: z.enum(REVOCATION_KINDS),
    /** Fingerprint or serial number, SPIFFE ID, txn, jti. */
    value: z.string(),
    reason: z.string().max(500).nullable(),
    since: z.iso.datetime(),
    /** Null: for ever. */
    until: z.iso.datetime().nullable(),
  })
  .superRefine(({ kind, value }, context) => {
    if (!FORMS[kind].test(value))
      context.addIssue({ code: 'custom', message: `is not a ${kind}`, path: ['value'] })
  })
const file = z.strictObject({ revoked: z.array(entry).max(100_000) })

export type RevocationEntry = Readonly<z.infer<typeof entry>>

export const MAX_LIST_BYTES = 32 * 1024 * 1024

const MEND =
  'mend it or put back the last good one, which a gateway that runs goes by until then; none starts with this one'

/** @throws MeshError MESH_REVOCATION_INVALID */
export function parseList(reading: FileReading, path: string): readonly RevocationEntry[] {
  if (reading.bytes === null) return []
  let json: unknown
  try {
    json = JSON.parse(reading.bytes.toString('utf8'))
  } catch (cause) {
    throw new MeshError('MESH_REVOCATION_INVALID', `${path} is not JSON`, { cause, hint: MEND })
  }
  const result = file.safeParse(json)
  if (result.success) return result.data.revoked
  throw new MeshError('MESH_REVOCATION_INVALID', `${path}: ${z.prettifyError(result.error)}`, {
    hint: MEND,
  })
}

/** A missing file holds nothing. @throws MeshError MESH_REVOCATION_INVALID */
export async function readList(path: string): Promise<readonly RevocationEntry[]> {
  return parseList(await readBytes(path, MAX_LIST_BYTES), path)
}

export function isRevocationValue(kind: RevocationKind, value: string): boolean {
  return FORMS[kind].test(value)
}

/** Adds an entry, in the place of one about the same; what has ended is left out. @throws MeshError MESH_REVOCATION_INVALID, MESH_DISK_WRITE */
export async function addToList(
  path: string,
  added: RevocationEntry,
  nowMs: number,
): Promise<void> {
  await edit(path, nowMs, (entries) => [...entries.filter((one) => !sameThing(one, added)), added])
}

/** True when there was one. @throws MeshError MESH_REVOCATION_INVALID, MESH_DISK_WRITE */
export async function removeFromList(
  path: string,
  removed: Pick<RevocationEntry, 'kind' | 'value'>,
  nowMs: number,
): Promise<boolean> {
  let found = false
  await edit(path, nowMs, (entries) =>
    entries.filter((one) => {
      const same = sameThing(one, removed)
      found ||= same
      return !same
    }),
  )
  return found
}

async function edit(
  path: string,
  nowMs: number,
  change: (entries: readonly RevocationEntry[]) => readonly RevocationEntry[],
): Promise<void> {
  await withLock(`${path}.lock`, async () => {
    const revoked = change(await readList(path)).filter((one) => !hasEnded(one, nowMs))
    // what a gateway would not read must not be written
    const judged = file.safeParse({ revoked })
    if (!judged.success)
      throw new MeshError('MESH_REVOCATION_INVALID', z.prettifyError(judged.error))
    await writeAtomic(path, `${JSON.stringify({ revoked }, null, 2)}\n`)
  })
}

export function hasEnded({ until }: RevocationEntry, nowMs: number): boolean {
  return until !== null && Date.parse(until) <= nowMs
}

function sameThing(
  one: Pick<RevocationEntry, 'kind' | 'value'>,
  other: Pick<RevocationEntry, 'kind' | 'value'>,
): boolean {
  return one.kind === other.kind && one.value === other.value
}
