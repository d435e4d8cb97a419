/**
 * A whole mesh for a test: a CA made on the spot, a DNS server, a policy directory, the gateway as a process, and agents
 * in this process by the SDK's public door.
 *
 * @example
 * const mesh = await startMesh({ policy: { acme: { delegation: { allow: [{ from: 'planner', to: '*' }] } } } })
 * await mesh.serve('acme', 'researcher', { skills: { echo: (task) => task.text() } })
 * const planner = await mesh.agent('acme', 'planner')
 * const result = await planner.delegate('researcher', { skill: 'echo', input: 'hello' }).result()
 * await mesh.close()
 */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Agent,
  type AgentOptions,
  createAgent,
  type ServeOptions,
  type Serving,
  silentLog,
} from '@clawmesh/agent-sdk'
import { type Ca, initCa, openCa, writeIdentity } from '@clawmesh/pki'
import { Secret } from '@clawmesh/proto'
import { createDnsServer, type DnsServer } from '../../scripts/dev/dns-server.ts'
import type { ServiceRecord } from '../../scripts/dev/zone.ts'
import { type GatewayPorts, type GatewayProcess, startGatewayProcess } from './gateway-process.ts'
import { waitFor } from './wait-for.ts'

export type PolicyFiles = Readonly<Record<string, Readonly<Record<string, unknown>>>>

export interface MeshOptions {
  /** By tenant, without the key `tenant`; `_global` is the global file. Default: no policy, so nothing is allowed. */
  readonly policy?: PolicyFiles
  /** Default `mesh.internal`. */
  readonly trustDomain?: string
  /** Names the gateway's certificate covers, besides those of the policy. */
  readonly tenants?: readonly string[]
  /** Addresses that the gateway's certificate is for besides, of 127.0.0.0/8: for clients that cannot be given a name. */
  readonly gatewayAddresses?: readonly string[]
  /** Merged into the configuration of the gateway. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Added to the environment of the gateway. */
  readonly env?: Readonly<Record<string, string>>
  /** Where the gateway listens. Default: free ports. */
  readonly ports?: GatewayPorts
  /** Called before the gateway starts, for files that its configuration names. */
  readonly prepare?: (place: { readonly dir: string; readonly ca: Ca }) => Promise<void>
}

export interface Mesh {
  /** Everything is in here; removed by close(). */
  readonly dir: string
  readonly trustDomain: string
  readonly ca: Ca
  readonly dns: DnsServer
  readonly gateway: GatewayProcess
  /** Full name of an agent. */
  nameOf(tenant: string, agent: string): string
  /** The identity directory of an agent; issued when it is asked for first. */
  identity(tenant: string, agent: string): Promise<string>
  /** Issues a new certificate, from another CA when one is given. `gateway` is the gateway's. */
  renew(
    who: 'gateway' | { readonly tenant: string; readonly agent: string },
    ca?: Ca,
  ): Promise<void>
  /** An agent in this process. Closed by close(). */
  agent(tenant: string, agent: string, options?: Partial<AgentOptions>): Promise<Agent>
  /** An agent that serves, and that DNS knows. */
  serve(
    tenant: string,
    agent: string,
    options: ServeOptions,
  ): Promise<{ readonly agent: Agent; readonly serving: Serving }>
  /** Adds to DNS: where an agent can be called. */
  announce(tenant: string, agent: string, port: number, address?: string): void
  /** Adds any host name to DNS. */
  addHost(name: string, addresses: readonly string[]): void
  /** Writes policy files; those not named stay. */
  setPolicy(policy: PolicyFiles): Promise<void>
  /** Lines of the audit log so far. */
  audit(): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** The first line of the audit log that fits, also one that is yet to come. */
  auditLine(
    what: string,
    fits: (record: Readonly<Record<string, unknown>>) => boolean,
  ): Promise<Readonly<Record<string, unknown>>>
  close(): Promise<void>
}

export async function startMesh(options: MeshOptions = {}): Promise<Mesh> {
  const { trustDomain = 'mesh.internal', policy = {} } = options
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-mesh-'))
  const undo: (() => Promise<void>)[] = [() => rm(dir, { recursive: true, force: true })]
  const close = async () => {
    for (const step of undo.splice(0).toReversed()) await step()
  }
  try {
    const { gatewayAddresses: ipAddresses = [] } = options
    const permitIpRanges = ipAddresses.length === 0 ? [] : ['127.0.0.0/8']
    const ca = await makeCa(join(dir, 'ca'), trustDomain, permitIpRanges)
    const tenants = [
      ...new Set([
        ...Object.keys(policy).filter((name) => name !== '_global'),
        ...(options.tenants ?? ['acme']),
      ]),
    ]
    const issueGateway = (from: Ca) => from.issueGateway({ name: 'gw-1', tenants, ipAddresses })
    await writeIdentity(join(dir, 'gateway'), issueGateway(ca))
    await writePolicy(dir, policy)
    await options.prepare?.({ dir, ca })

    const hosts: Record<string, readonly string[]> = { [`gateway.${trustDomain}`]: ['127.0.0.1'] }
    const services: Record<string, readonly ServiceRecord[]> = {}
    const dns = await createDnsServer({ records: { addresses: hosts, services } })
    undo.push(() => dns.close())
    const publish = () =>
      dns.setRecords({ addresses: { ...hosts }, services: { ...services }, ttlSeconds: 1 })

    const config = {
      trustDomain,
      dns: { servers: [dns.address] },
      ...options.config,
    }
    const ports = options.ports === undefined ? {} : { ports: options.ports }
    const env = options.env === undefined ? {} : { env: options.env }
    const gateway = await startGatewayProcess({ dir, config, ...ports, ...env })
    undo.push(async () => {
      await gateway.stop()
    })

    const nameOf = (tenant: string, agent: string) => `${agent}.${tenant}.${trustDomain}`
    const issued = new Set<string>()
    const identity = async (tenant: string, agent: string) => {
      const where = join(dir, 'agents', tenant, agent)
      if (!issued.has(where)) await writeIdentity(where, ca.issueAgent({ tenant, agent }))
      issued.add(where)
      return where
    }
    const announce = (tenant: string, agent: string, port: number, address = '127.0.0.1') => {
      const name = nameOf(tenant, agent)
      hosts[name] = [...new Set([...(hosts[name] ?? []), address])]
      services[`_grpc._tcp.${name}`] = [{ target: name, port }]
      publish()
    }
    const agent = async (tenant: string, name: string, more: Partial<AgentOptions> = {}) => {
      const made = await createAgent({
        gateway: gateway.delegation,
        egress: `http://${gateway.egress}`,
        identity: await identity(tenant, name),
        log: silentLog,
        ...more,
      })
      undo.push(() => made.close())
      return made
    }
    const audit = async () => {
      const text = await readFile(gateway.auditFile, 'utf8').catch(() => '')
      const lines = text.split('\n').slice(0, -1)
      return lines.map((line): Record<string, unknown> => JSON.parse(line))
    }
    return {
      dir,
      trustDomain,
      ca,
      dns,
      gateway,
      nameOf,
      identity,
      async renew(who, from = ca) {
        if (who === 'gateway') await writeIdentity(join(dir, 'gateway'), issueGateway(from))
        else await writeIdentity(await identity(who.tenant, who.agent), from.issueAgent(who))
      },
      agent,
      async serve(tenant, name, serveOptions) {
        const made = await agent(tenant, name)
        const serving = await made.serve({ listen: '127.0.0.1:0', ...serveOptions })
        announce(tenant, name, serving.address.port)
        return { agent: made, serving }
      },
      announce,
      addHost(name, addresses) {
        hosts[name] = addresses
        publish()
      },
      setPolicy: (next) => writePolicy(dir, next),
      audit,
      auditLine: (what, fits) =>
        waitFor(`an audit line: ${what}`, async () => (await audit()).find(fits)),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** A CA of its own, e.g. one that nobody trusts. */
export async function makeCa(
  dir: string,
  trustDomain = 'mesh.internal',
  permitIpRanges: readonly string[] = [],
): Promise<Ca> {
  const passphrase = new Secret(randomBytes(24).toString('base64url'))
  await initCa({ dir, trustDomain, passphrase, permitIpRanges, keyIterations: 1_000 })
  return openCa({ dir, passphrase })
}

/** Each file in one step; a tenant's policy is one file. */
async function writePolicy(dir: string, policy: PolicyFiles): Promise<void> {
  const to = join(dir, 'policy')
  await mkdir(to, { recursive: true })
  for (const [name, document] of Object.entries(policy)) {
    const text = JSON.stringify(name === '_global' ? document : { tenant: name, ...document })
    const next = join(dir, `.${name}.next`)
    await writeFile(next, text)
    await rename(next, join(to, `${name}.json`))
  }
}
