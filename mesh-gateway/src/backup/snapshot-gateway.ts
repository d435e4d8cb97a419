/**
 * The state of a gateway as of one moment: under the locks of its signing keys, service accounts and revocations, so
 * that no rotation is in the middle and no revocation is torn. Nothing waits while the archive is written.
 */
import { basename, join, resolve } from 'node:path'
import { describeFileFault, readWhole } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import {
  type BackupSnapshot,
  type BackupSource,
  inMemory,
  isPlainName,
  openSnapshot,
  type SnapshotFile,
} from '@clawmesh/proto/backup'
import { withLockWhereWritable } from '@clawmesh/proto/lock'
import { type ConfigPlace, readConfig } from '../config/live-config.ts'
import { valueOfKey } from '../config/object-path.ts'
import type { Config } from '../config/schema.ts'
import { readPolicyDirectory } from '../policy/read/read-directory.ts'
import { LOCK_FILE, readRingFiles } from '../tokens/key-ring-file.ts'
import { copyDatabase, isDatabase } from './copy-database.ts'
import {
  CONFIG_NAME,
  EGRESS_TLS_DIR,
  FILE_NAMES,
  IDENTITY_DIR,
  INCLUDED_DIR,
  KEYS_DIR,
  POLICY_DIR,
  TENANTS_DIR,
} from './names.ts'
import { issuerFile, portableConfig } from './portable-config.ts'

const MAX_SMALL_BYTES = 4 * 1024 * 1024
const ATTEMPTS = 5

/**
 * @param included further files, e.g. the task store of an agent that is stopped
 * @throws MeshError MESH_CONFIG_INVALID, MESH_KEYS_UNUSABLE, MESH_POLICY_INVALID, MESH_BACKUP_INVALID, MESH_DISK_WRITE
 */
export async function snapshotGateway(
  place: ConfigPlace,
  included: readonly string[],
): Promise<BackupSnapshot> {
  const { config } = await readConfig(place)
  const { list } = config.revocation
  const accounts = config.serviceAccounts.file
  const locks = [
    join(config.keys.dir, LOCK_FILE),
    ...(accounts === null ? [] : [`${accounts}.lock`]),
    ...(list === null ? [] : [`${list}.lock`]),
  ]
  const others: BackupSource[] = [
    inMemory(CONFIG_NAME, await portableConfig(place, config)),
    ...(await readPair(config.identity.dir, IDENTITY_DIR, ['tls.crt', 'tls.key', 'ca.crt'])),
    ...(config.egress.tls.dir === null
      ? []
      : await readPair(config.egress.tls.dir, EGRESS_TLS_DIR, ['tls.crt', 'tls.key'])),
    ...(await readPolicies(config)),
  ]
  const extra = await openSnapshot(await includedFiles(included, place.cwd))
  try {
    const state = await underLocks(locks, async () => {
      const keys = (await readRingFiles(config.keys.dir)).map(({ name, bytes }) =>
        inMemory(`${KEYS_DIR}/${name}`, bytes),
      )
      const files = await openSnapshot(configuredFiles(config))
      return { ...files, sources: [...keys, ...files.sources] }
    })
    return {
      made: state.made,
      sources: [...others, ...state.sources, ...extra.sources],
      async close() {
        await state.close()
        await extra.close()
      },
    }
  } catch (error) {
    await extra.close()
    throw error
  }
}

/** All of them, one in the other. */
async function underLocks<T>(locks: readonly string[], work: () => Promise<T>): Promise<T> {
  const [first, ...rest] = locks
  return first === undefined ? work() : withLockWhereWritable(first, () => underLocks(rest, work))
}

function configuredFiles(config: Config): SnapshotFile[] {
  const files = Object.entries(FILE_NAMES).flatMap(([key, name]) => {
    const path = valueOfKey(config, key)
    // accounts may be missing: none was created yet; without files of traces the gateway runs on
    const required = key !== 'serviceAccounts.file' && !key.startsWith('traces.')
    return typeof path === 'string' ? [{ name, path, required }] : []
  })
  for (const [index, issuer] of config.tokens.issuers.entries())
    for (const key of ['caFile', 'tokenFile'] as const) {
      const path = issuer[key]
      if (path !== null) files.push({ name: issuerFile(index, key), path, required: true })
    }
  return files
}

/** Read until two readings agree: a renewal may replace the files one after the other. */
async function readPair(
  dir: string,
  folder: string,
  names: readonly string[],
): Promise<readonly BackupSource[]> {
  const read = () => Promise.all(names.map((name) => readSmall(join(dir, name))))
  let last = await read()
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const next = await read()
    if (next.every((bytes, index) => bytes.equals(last[index] ?? Buffer.alloc(0))))
      return names.map((name, index) => inMemory(`${folder}/${name}`, next[index] ?? ''))
    last = next
  }
  throw new MeshError('MESH_BACKUP_INVALID', `${dir} changes all the time`, { hint: 'try again' })
}

async function readPolicies(config: Config): Promise<readonly BackupSource[]> {
  const { dir, tenantDirs } = config.policy
  const own = await readPolicyDirectory({ dir })
  const all = tenantDirs === null ? own : await readPolicyDirectory({ dir, tenantDirs })
  const owned = new Set(own.files.map(({ name }) => name))
  const unreadable = all.files.find(({ bytes }) => bytes === null)
  if (all.problem !== null || unreadable !== undefined)
    throw new MeshError(
      'MESH_POLICY_INVALID',
      all.problem === null
        ? `${unreadable?.name ?? ''}: ${unreadable?.problem ?? ''}`
        : `${all.problem.file}: ${all.problem.message}`,
    )
  return all.files.map(({ name, bytes }) => {
    const place = owned.has(name) ? POLICY_DIR : `${TENANTS_DIR}/${name.replace(/\.json$/, '')}`
    return inMemory(`${place}/${name}`, Buffer.from(bytes ?? []))
  })
}

async function includedFiles(included: readonly string[], cwd: string): Promise<SnapshotFile[]> {
  const files: SnapshotFile[] = []
  for (const given of included) {
    const path = resolve(cwd, given)
    const name = `${INCLUDED_DIR}/${basename(path)}`
    if (!isPlainName(name) || files.some((one) => one.name === name))
      throw new MeshError(
        'MESH_BACKUP_INVALID',
        `${given} has no name of its own among the included files`,
        { hint: 'names are of letters, digits and _@.=+-, and each one is included once' },
      )
    files.push({
      name,
      path,
      required: true,
      ...((await isDatabase(path)) ? { open: () => copyDatabase(path) } : {}),
    })
  }
  return files
}

async function readSmall(path: string): Promise<Buffer> {
  return readWhole(path, { maxBytes: MAX_SMALL_BYTES }).catch((cause: unknown) => {
    throw new MeshError(
      'MESH_BACKUP_INVALID',
      `cannot read ${path} (${describeFileFault(cause)})`,
      { cause, hint: 'run it as the user of the gateway' },
    )
  })
}
