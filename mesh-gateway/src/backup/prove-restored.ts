/**
 * Proves a restored gateway before it takes its place: configuration, signing keys, service accounts and revocations can
 * be used. Compares it with a gateway that is newer: what has been revoked or retired since would be let in again.
 */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { type ConfigPlace, readConfig } from '../config/live-config.ts'
import type { Config } from '../config/schema.ts'
import type { RevocationEntry } from '../revocation/entry.ts'
import { addToList, readList } from '../revocation/list-file.ts'
import { readAccounts, type ServiceAccount } from '../tokens/account-file.ts'
import { type RingEntry, readRing } from '../tokens/key-ring-file.ts'
import { retireKey } from '../tokens/rotate-keys.ts'
import { revokeServiceAccount } from '../tokens/service-accounts.ts'
import { CONFIG_NAME } from './names.ts'

export interface ProveOptions {
  readonly staged: string
  /** The directory that is replaced; null for none. */
  readonly before: string | null
  /** Configuration of a gateway to compare with; null: that of the replaced directory. */
  readonly compareWith: ConfigPlace | null
  /** Revokes and retires in the restored gateway what the other one has. */
  readonly keepRevocations: boolean
  readonly nowMs: number
}

interface GatewayState {
  readonly keysDir: string
  readonly list: string | null
  readonly accountsFile: string | null
  /** Null: not readable. */
  readonly keys: readonly RingEntry[] | null
  readonly revoked: readonly RevocationEntry[]
  readonly accounts: readonly ServiceAccount[]
}

const SHOWN = 10

/**
 * @returns what speaks against it, each to be read after "the restore"
 * @throws MeshError when the restored gateway cannot be used
 */
export async function proveRestored(options: ProveOptions): Promise<readonly string[]> {
  const { staged, before, nowMs } = options
  const { config } = await readConfig(placeOf(staged))
  const restored = await readState(config, nowMs)
  const other = options.compareWith ?? (before === null ? null : placeOf(before))
  if (other === null) return []
  const newer = await newerState(other, options.compareWith !== null, nowMs)
  return newer === null ? [] : await compare(restored, newer, options)
}

async function compare(
  restored: GatewayState,
  newer: GatewayState,
  { keepRevocations: keep, nowMs }: ProveOptions,
): Promise<readonly string[]> {
  const reasons: string[] = []
  const back = (things: readonly string[]) => {
    const shown = [
      ...things.slice(0, SHOWN),
      ...(things.length > SHOWN ? [`${things.length - SHOWN} more`] : []),
    ]
    if (things.length > 0)
      reasons.push(`would let in again what is revoked now: ${shown.join(', ')}`)
  }
  const known = new Set(restored.revoked.map(keyOf))
  const missing = newer.revoked.filter((entry) => !known.has(keyOf(entry)))
  const { list } = restored
  if (keep && list !== null) for (const entry of missing) await addToList(list, entry, nowMs)
  else back(missing.map(({ kind, value }) => `${kind} ${value}`))

  const stillGood = new Set(
    newer.accounts.filter(({ revoked }) => revoked === null).map(({ id }) => id),
  )
  const accounts = restored.accounts.filter((one) => one.revoked === null && !stillGood.has(one.id))
  const { accountsFile } = restored
  if (keep && accountsFile !== null)
    for (const { id } of accounts) await revokeServiceAccount(accountsFile, id)
  else back(accounts.map(({ id, tenant, agent }) => `service account ${id} of ${tenant}/${agent}`))

  if (newer.keys === null) return reasons
  const verifying = new Set(newer.keys.map(({ kid }) => kid))
  const alive = (restored.keys ?? []).filter(
    ({ kid, until }) => !verifying.has(kid) && (until === null || Date.parse(until) > nowMs),
  )
  const retired = keep ? alive.filter(({ role }) => role !== 'active') : []
  for (const { kid } of retired) await retireKey({ dir: restored.keysDir, kid })
  back(alive.filter((key) => !retired.includes(key)).map(({ kid }) => `signing key ${kid}`))
  return reasons
}

/** Null: there is none to compare with. */
async function newerState(
  place: ConfigPlace,
  named: boolean,
  nowMs: number,
): Promise<GatewayState | null> {
  try {
    if (!named) await access(place.path ?? '')
    const { config } = await readConfig(place)
    // of one that was named nothing may be missing: what it has revoked would be let in again
    return await readState(config, nowMs, !named)
  } catch (error) {
    // the directory that is replaced may hold anything
    if (named || !(error instanceof Error)) throw error
    return null
  }
}

/** @param tolerant reads what can be read: a broken gateway is why one restores */
async function readState(config: Config, nowMs: number, tolerant = false): Promise<GatewayState> {
  const or = <T>(what: Promise<T>, otherwise: T) =>
    what.catch((error: unknown) => {
      if (tolerant && error instanceof MeshError) return otherwise
      throw error
    })
  const { list } = config.revocation
  const accountsFile = config.serviceAccounts.file
  return {
    keysDir: config.keys.dir,
    list,
    accountsFile,
    keys: await or<readonly RingEntry[] | null>(
      readRing(config.keys.dir).then((found) => found.parse()),
      null,
    ),
    revoked: list === null ? [] : await or(readList(list, nowMs), []),
    accounts:
      accountsFile === null
        ? []
        : await or(
            readAccounts(accountsFile).then((found) => found.parse()),
            [],
          ),
  }
}

function placeOf(dir: string): ConfigPlace {
  return { path: join(dir, CONFIG_NAME), env: {}, flags: {}, cwd: dir }
}

function keyOf({ kind, value }: RevocationEntry): string {
  return `${kind} ${value}`
}
