/**
 * The certificates of a development mesh: a CA of its own, kept between starts, and one identity for each process.
 * They are renewed when less than half of their life remains, also while the mesh runs.
 */
import { randomBytes, X509Certificate } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Ca, type Issued, initCa, openCa, writeIdentity } from '@clawmesh/pki'
import { MeshError, Secret } from '@clawmesh/proto'

export const TRUST_DOMAIN = 'mesh.internal'
export const TENANT = 'acme'
export const AGENTS = ['planner', 'researcher'] as const
export const GATEWAY = 'dev'

export interface DevIdentitiesOptions {
  /** The directory of the mesh, e.g. `.clawmesh`. */
  readonly dir: string
  /** Life of a certificate, in milliseconds. Default 24 hours. */
  readonly ttlMs?: number
  readonly now?: () => number
}

export interface DevIdentities {
  /** True when the CA was made just now. */
  readonly fresh: boolean
  /** Where a process finds its identity. */
  dirOf(name: (typeof AGENTS)[number] | 'gateway'): string
  /** Renews what is missing or past half of its life. Resolves with whose that was. */
  renew(): Promise<readonly string[]>
}

/** @throws MeshError when the CA that is kept there cannot be used. */
export async function openDevIdentities(options: DevIdentitiesOptions): Promise<DevIdentities> {
  const { dir, ttlMs, now = Date.now } = options
  const life = ttlMs === undefined ? {} : { ttlMs }
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const { ca, fresh } = await openOrMakeCa(dir)
  const { fingerprint } = ca.info.root
  const holders: readonly { name: string; issue: () => Issued }[] = [
    {
      name: 'gateway',
      issue: () => ca.issueGateway({ name: GATEWAY, tenants: [TENANT], ...life }),
    },
    ...AGENTS.map((agent) => ({
      name: agent,
      issue: () => ca.issueAgent({ tenant: TENANT, agent, ...life }),
    })),
  ]
  return {
    fresh,
    dirOf: (name) => join(dir, name),
    async renew() {
      const renewed: string[] = []
      for (const { name, issue } of holders) {
        if (await isGood(join(dir, name), fingerprint, now())) continue
        await writeIdentity(join(dir, name), issue())
        renewed.push(name)
      }
      return renewed
    },
  }
}

async function openOrMakeCa(dir: string): Promise<{ ca: Ca; fresh: boolean }> {
  const path = join(dir, 'ca')
  const passphrase = await readOrMakePassphrase(join(dir, 'passphrase'))
  try {
    return { ca: await openCa({ dir: path, passphrase }), fresh: false }
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    if (error.code !== 'MESH_PKI_NOT_FOUND')
      throw new MeshError(error.code, error.message, {
        cause: error,
        hint: `it is for development only: remove ${dir} to start afresh`,
      })
  }
  // the passphrase is random: more rounds would only delay the start
  await initCa({ dir: path, trustDomain: TRUST_DOMAIN, passphrase, keyIterations: 1_000 })
  return { ca: await openCa({ dir: path, passphrase }), fresh: true }
}

async function readOrMakePassphrase(file: string): Promise<Secret> {
  const made = randomBytes(24).toString('base64url')
  try {
    await writeFile(file, `${made}\n`, { mode: 0o600, flag: 'wx' })
    return new Secret(made)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    return new Secret((await readFile(file, 'utf8')).trim())
  }
}

/** More than half of its life remains, and it is of this CA. */
async function isGood(dir: string, rootFingerprint: string, nowMs: number): Promise<boolean> {
  try {
    const [leaf, root] = await Promise.all(
      ['tls.crt', 'ca.crt'].map(
        async (name) => new X509Certificate(await readFile(join(dir, name))),
      ),
    )
    if (leaf === undefined || root === undefined) return false
    const from = leaf.validFromDate.getTime()
    const half = from + (leaf.validToDate.getTime() - from) / 2
    const ofThisCa = root.fingerprint256.replaceAll(':', '').toLowerCase() === rootFingerprint
    return ofThisCa && nowMs >= from && nowMs < half
  } catch {
    // missing or unreadable: it is made anew
    return false
  }
}
