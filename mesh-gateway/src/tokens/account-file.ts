/** The file format of service accounts. The file contains hashes of keys, never a key. */
import { createHash } from 'node:crypto'
import {
  createDisk,
  type Disk,
  describeFileFault,
  type FoundNow,
  readWhole,
} from '@clawmesh/agent-sdk/mesh'
import { isDnsLabel, MeshError } from '@clawmesh/proto'
import { z } from 'zod'
import { parseHostPattern } from '../net/host-pattern.ts'
import { parseJsonFile } from '../policy/read/json-file.ts'
import { codeOf } from '../process/error-code.ts'

const MAX_BYTES = 64 * 1024 * 1024

const label = z.string().refine(isDnsLabel, 'must be a lower-case DNS label')
const destination = z.string().superRefine((text, context) => {
  const pattern = parseHostPattern(text)
  if (typeof pattern === 'string') context.addIssue({ code: 'custom', message: pattern })
})
const account = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{16}$/, 'must be 16 hexadecimal digits'),
  tenant: label,
  agent: label,
  /** Null: all that policy allows the agent. */
  destinations: z.array(destination).min(1).max(200).nullable(),
  /** SHA-256 of the whole key, lower-case hexadecimal. */
  hash: z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 of 64 hexadecimal digits'),
  created: z.iso.datetime(),
  revoked: z.iso.datetime().nullable(),
})
const file = z.strictObject({ accounts: z.array(account).max(100_000) })

export type ServiceAccount = Readonly<z.infer<typeof account>>

/** A missing file holds no account. @throws MeshError MESH_ACCOUNTS_UNUSABLE */
export async function readAccounts(
  path: string,
  disk: Disk = createDisk(),
): Promise<FoundNow<readonly ServiceAccount[]>> {
  let text: string
  try {
    text = (await readWhole(path, { maxBytes: MAX_BYTES, disk })).toString('utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { digest: 'none', parse: () => [] }
    const message = `cannot read ${path} (${describeFileFault(error)})`
    throw new MeshError('MESH_ACCOUNTS_UNUSABLE', message, { cause: error })
  }
  return {
    digest: createHash('sha256').update(text).digest('base64'),
    parse: () => parseAccounts(text, path),
  }
}

function parseAccounts(text: string, path: string): readonly ServiceAccount[] {
  const read = parseJsonFile(text, path, file)
  if ('faults' in read) throw new MeshError('MESH_ACCOUNTS_UNUSABLE', read.faults)
  const { accounts } = read.value
  if (new Set(accounts.map((one) => one.id)).size !== accounts.length)
    throw new MeshError('MESH_ACCOUNTS_UNUSABLE', `${path}: an id is there twice`)
  return accounts
}
