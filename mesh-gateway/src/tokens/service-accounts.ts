/**
 * Service accounts: long-lived keys for machines without a certificate, exchanged for egress tokens at POST /v1/token.
 * A key is shown once and stored as a hash; a running gateway notices its revocation.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Disk, diskError, type Log, silentLog, writeAtomic } from '@clawmesh/agent-sdk/mesh'
import { MeshError, Secret } from '@clawmesh/proto'
import { withLock } from '@clawmesh/proto/lock'
import { follow } from '../files/follow.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { readAccounts, type ServiceAccount } from './account-file.ts'

export type { ServiceAccount } from './account-file.ts'

export interface NewAccount {
  readonly tenant: string
  readonly agent: string
  /** Host patterns; null: all that policy allows the agent. */
  readonly destinations: readonly string[] | null
}

export interface ServiceAccountsOptions {
  /** One JSON file; may be missing. */
  readonly file: string
  readonly log?: Log
  readonly metrics?: Pick<Metrics, 'reload'>
  /** Milliseconds. Default 10,000. */
  readonly pollMs?: number
  /** Shared by all file followers of this process. Default: its own. */
  readonly disk?: Disk | undefined
}

export interface ServiceAccounts {
  list(): readonly ServiceAccount[]
  /** The account of a key. @throws MeshError MESH_ACCOUNT_KEY_INVALID for any fault of the key */
  authenticate(key: string): ServiceAccount
  reload(): Promise<boolean>
  close(): Promise<void>
}

const KEY_FORM = /^cmsa_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/
/** The hash of no key. It is compared when there is no account, so that both cases take the same time. */
const NOBODY = Buffer.alloc(32)

/** @throws MeshError MESH_ACCOUNTS_UNUSABLE */
export async function openServiceAccounts(
  options: ServiceAccountsOptions,
): Promise<ServiceAccounts> {
  const { file, log = silentLog } = options
  const accounts = await follow<readonly ServiceAccount[]>({
    what: 'accounts',
    files: [file],
    read: (disk) => readAccounts(file, disk),
    log,
    metrics: options.metrics ?? { reload: () => {} },
    pollMs: options.pollMs,
    disk: options.disk,
  })
  const index = (list: readonly ServiceAccount[]) => new Map(list.map((one) => [one.id, one]))
  let byId = index(accounts.current())
  accounts.onChange((list) => {
    byId = index(list)
  })
  return {
    list: () => accounts.current(),
    authenticate(key) {
      const id = KEY_FORM.exec(key)?.[1]
      const found = id === undefined ? undefined : byId.get(id)
      const expected = found === undefined ? NOBODY : Buffer.from(found.hash, 'hex')
      const equal = timingSafeEqual(expected, createHash('sha256').update(key).digest())
      if (found === undefined || !equal || found.revoked !== null)
        throw new MeshError('MESH_ACCOUNT_KEY_INVALID')
      return found
    },
    reload: () => accounts.reload(),
    close: () => accounts.close(),
  }
}

/** No file contains the key: it can be shown only now. */
export async function createServiceAccount(
  file: string,
  wanted: NewAccount,
  now: () => number = Date.now,
): Promise<{ readonly account: ServiceAccount; readonly key: Secret<string> }> {
  const id = randomBytes(8).toString('hex')
  const key = `cmsa_${id}_${randomBytes(32).toString('base64url')}`
  const account: ServiceAccount = {
    id,
    tenant: wanted.tenant,
    agent: wanted.agent,
    destinations: wanted.destinations === null ? null : [...wanted.destinations],
    hash: createHash('sha256').update(key).digest('hex'),
    created: new Date(now()).toISOString(),
    revoked: null,
  }
  await mkdir(dirname(file), { recursive: true }).catch((error) => {
    throw diskError(dirname(file), error)
  })
  await change(file, (accounts) => [...accounts, account])
  return { account, key: new Secret(key) }
}

/** Idempotent. @throws MeshError MESH_ACCOUNTS_UNUSABLE when there is none with that id */
export async function revokeServiceAccount(
  file: string,
  id: string,
  now: () => number = Date.now,
): Promise<ServiceAccount> {
  let revoked: ServiceAccount | null = null
  await change(file, (accounts) =>
    accounts.map((one) => {
      if (one.id !== id) return one
      revoked = { ...one, revoked: one.revoked ?? new Date(now()).toISOString() }
      return revoked
    }),
  )
  if (revoked === null) {
    const [, known] = KEY_FORM.exec(id) ?? []
    // a secret is not repeated
    if (known !== undefined)
      throw new MeshError('MESH_ACCOUNTS_UNUSABLE', 'that is the key of an account, not its id', {
        hint: `mesh-gateway service-account revoke ${known}`,
      })
    throw new MeshError(
      'MESH_ACCOUNTS_UNUSABLE',
      `there is no service account ${JSON.stringify(id)} in ${file}`,
      { hint: '`mesh-gateway service-account list` shows which there are' },
    )
  }
  return revoked
}

async function change(
  file: string,
  edit: (accounts: readonly ServiceAccount[]) => readonly ServiceAccount[],
): Promise<void> {
  await withLock(`${file}.lock`, async () => {
    const accounts = edit((await readAccounts(file)).parse())
    await writeAtomic(file, `${JSON.stringify({ accounts }, null, 2)}\n`)
  })
}
