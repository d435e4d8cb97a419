/** Reads the access data of the configured Redis: its address, a password, CAs. */
import { describeFileFault, readWhole } from '@clawmesh/agent-sdk/mesh'
import { MeshError, Secret } from '@clawmesh/proto'

export interface RedisConfig {
  /** Null: no Redis, each gateway counts by itself. */
  readonly url: string | null
  readonly username: string | null
  /** Null: no password. */
  readonly passwordFile: string | null
  /** PEM file; null: the public CAs. */
  readonly caFile: string | null
  readonly prefix: string
}

export interface RedisAccess {
  /** `redis://host:port/db`, or `rediss://` for TLS. Without credentials. */
  readonly url: string
  readonly username: string | null
  readonly password: Secret | null
  /** PEM of the CAs that a `rediss:` server must chain to. Null: the public ones. */
  readonly ca: string | null
}

/** For the larger of the two files, a bundle of CAs. */
const MAX_FILE_BYTES = 8 * 1024 * 1024

/** @throws MeshError MESH_CONFIG_INVALID when a file cannot be read */
export async function readRedisAccess({
  url,
  username,
  passwordFile,
  caFile,
}: RedisConfig & { readonly url: string }): Promise<RedisAccess> {
  const password = await textOf(passwordFile, 'limits.redis.passwordFile')
  const ca = await textOf(caFile, 'limits.redis.caFile')
  return { url, username, password: password === null ? null : new Secret(password.trim()), ca }
}

/** Credentials and trust, as options of ioredis. */
export function redisAccessOptions({ url, username, password, ca }: RedisAccess) {
  return {
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password: password.reveal() }),
    ...tlsOf(url, ca),
  }
}

/** Explicit: otherwise NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment would give the password to an impostor. */
function tlsOf(url: string, ca: string | null) {
  if (ca === null && new URL(url).protocol !== 'rediss:') return {}
  return { tls: { rejectUnauthorized: true, ...(ca === null ? {} : { ca }) } }
}

async function textOf(file: string | null, key: string): Promise<string | null> {
  if (file === null) return null
  try {
    return (await readWhole(file, { maxBytes: MAX_FILE_BYTES })).toString('utf8')
  } catch (cause) {
    const message = `${key}: ${file} cannot be read (${describeFileFault(cause)})`
    throw new MeshError('MESH_CONFIG_INVALID', message, { cause })
  }
}
