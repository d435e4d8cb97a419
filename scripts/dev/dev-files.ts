/** The files that the gateway of a development mesh reads: its policy and its configuration. */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join, relative } from 'node:path'
import { TENANT, TRUST_DOMAIN } from './dev-identities.ts'
import type { Ports } from './ports.ts'

export const DOCUMENTS_HOST = `docs.${TENANT}.${TRUST_DOMAIN}`

export interface DevFilesOptions {
  readonly dir: string
  readonly ports: Ports
  /** What the researcher may fetch. */
  readonly url: string
}

export interface DevFiles {
  readonly policyDir: string
  readonly configFile: string
  readonly auditFile: string
}

export async function writeDevFiles(options: DevFilesOptions): Promise<DevFiles> {
  const { dir, ports } = options
  const policyDir = join(dir, 'policy')
  const configFile = join(dir, 'gateway.json')
  const auditFile = join(dir, 'audit.jsonl')
  await mkdir(policyDir, { recursive: true })
  await mkdir(join(dir, 'logs'), { recursive: true })
  const { host, port } = destinationOf(options.url)
  await writeJson(join(policyDir, '_global.json'), {
    egress: {
      // everything here runs on loopback, which no agent may reach otherwise
      allowCidrs: ['127.0.0.0/8', '::1/128'],
      ports: [...new Set([80, 443, ports.documents, port])],
    },
  })
  await writeJson(join(policyDir, `${TENANT}.json`), {
    tenant: TENANT,
    mode: 'enforce',
    // the planner may as well: what is fetched on its behalf, each agent of the chain must be allowed
    egress: { allow: [...new Set([`${DOCUMENTS_HOST}:${ports.documents}`, host])] },
    delegation: { allow: [{ from: 'planner', to: 'researcher', methods: ['*'] }] },
  })
  await writeJson(configFile, {
    trustDomain: TRUST_DOMAIN,
    identity: { dir: 'gateway' },
    policy: { dir: relative(dir, policyDir) },
    keys: { dir: 'keys' },
    audit: { file: relative(dir, auditFile) },
    egress: { listen: `127.0.0.1:${ports.egress}` },
    delegation: { listen: `127.0.0.1:${ports.delegation}` },
    admin: { listen: `127.0.0.1:${ports.admin}` },
    dns: { servers: [`127.0.0.1:${ports.dns}`] },
    drainMs: 5_000,
  })
  return { policyDir, configFile, auditFile }
}

/** Host and port of a URL, as policy writes them. */
export function destinationOf(url: string): { host: string; hostname: string; port: number } {
  const { hostname, port, protocol } = new URL(url)
  const number = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
  return { host: `${hostname}:${number}`, hostname, port: number }
}

/** The name of a URL's host, for which the system's resolver has to be asked; null for an address. */
export function nameToResolve(url: string): string | null {
  const { hostname } = destinationOf(url)
  const address = hostname.replace(/^\[(.*)\]$/, '$1')
  return isIP(address) === 0 && hostname !== DOCUMENTS_HOST ? hostname : null
}

/** In one step: the gateway may be reading. */
async function writeJson(file: string, value: object): Promise<void> {
  const next = `${file}.next`
  await writeFile(next, `${JSON.stringify(value, null, 2)}\n`)
  await rename(next, file)
}
