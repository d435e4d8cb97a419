/**
 * Our gateway, as an operator runs it: the command, policy and limits from a directory, a revocation list, one audit
 * record per call in a file.
 */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../scripts/dev/free-ports.ts'
import type { Started } from '../process/processes.ts'
import { CALLEE, CALLER, makeDir, TENANT, TRUST_DOMAIN, type World } from '../world/world.ts'

export interface RunningGateway {
  readonly process: Started
  readonly delegationPort: number
  readonly egressPort: number
  readonly configFile: string
  readonly auditFile: string
  readonly keysDir: string
  /** Does not exist until somebody is revoked. */
  readonly revocationList: string
  /** From the start of the process until /ready said yes, in milliseconds. */
  readonly startMs: number
}

export interface GatewayNeeds {
  readonly nameServerPort: number
  /** Destination `host:port` that policy lets the caller reach. Null: none. */
  readonly destination: { readonly host: string; readonly port: number } | null
  /** Two that run at a time need different ones. Default: mesh-gateway. */
  readonly name?: string
  /** Processes that share its ports. Default: as a gateway has it that is told nothing. */
  readonly workers?: number
  /** Default: the one for what is tested. Null: any. */
  readonly core?: number | null
  /** The file that Node runs. Default: of the checkout. */
  readonly command?: string
}

export const GATEWAY_COMMAND = fileURLToPath(
  new URL('../../mesh-gateway/src/cli/main.ts', import.meta.url),
)
const READY_WITHIN_MS = 20_000
/** Limits that are counted and never reached. */
const PLENTY = 1_000_000_000

/** Resolves when it is ready. */
export async function startGateway(world: World, needs: GatewayNeeds): Promise<RunningGateway> {
  const { name = 'mesh-gateway', workers, core = world.cores.tested } = needs
  const { command = GATEWAY_COMMAND } = needs
  const dir = await makeDir(world, name)
  const [delegationPort = 0, egressPort = 0, adminPort = 0] = await freePorts(3)
  await writePolicy(world, needs)
  const configFile = join(dir, 'gateway.json')
  const keysDir = join(dir, 'keys')
  // beside the watched directories it would wake their watchers with every line
  const auditFile = join(await makeDir(world, `${name}-audit`), 'audit.jsonl')
  const revocationList = join(await makeDir(world, `${name}-revocation`), 'revoked.json')
  // in the form that earlier versions read as well
  await writeFile(revocationList, JSON.stringify({ revoked: [] }))
  const config = {
    trustDomain: TRUST_DOMAIN,
    identity: { dir: world.identities.gateway },
    policy: { dir: join(world.dir, 'policy') },
    keys: { dir: keysDir },
    revocation: { list: revocationList },
    audit: { file: auditFile },
    delegation: { listen: `127.0.0.1:${delegationPort}` },
    egress: { listen: `127.0.0.1:${egressPort}` },
    admin: { listen: `127.0.0.1:${adminPort}` },
    dns: { servers: [`127.0.0.1:${needs.nameServerPort}`] },
    drainMs: 100,
    ...(workers === undefined ? {} : { workers }),
  }
  await writeFile(configFile, JSON.stringify(config))
  const startedAt = performance.now()
  const process_ = world.processes.start({
    name,
    command: process.execPath,
    args: [...gatewayFlags(), command, 'start', '--config', configFile],
    core,
  })
  await untilReady(process_, adminPort)
  const startMs = performance.now() - startedAt
  const files = { configFile, auditFile, keysDir, revocationList }
  return { process: process_, delegationPort, egressPort, ...files, startMs }
}

/** For profiles: CLAWMESH_BENCH_NODE_FLAGS="--cpu-prof --cpu-prof-dir=…". */
function gatewayFlags(): string[] {
  return (process.env.CLAWMESH_BENCH_NODE_FLAGS ?? '').split(' ').filter(Boolean)
}

async function writePolicy(world: World, { destination }: GatewayNeeds): Promise<void> {
  const dir = await makeDir(world, 'policy')
  const at = destination === null ? [] : [`${destination.host}:${destination.port}`]
  const ports = destination === null ? [443] : [80, 443, destination.port]
  const own = { egress: { allowCidrs: ['127.0.0.0/8'], ports } }
  const tenant = {
    tenant: TENANT,
    egress: { allow: at },
    delegation: {
      allow: [{ from: CALLER, to: CALLEE, methods: ['*'] }],
      maxHops: 8,
      maxDelegationsPerRoot: PLENTY,
      limits: { callsPerMinute: PLENTY, concurrentStreams: PLENTY },
      tenantLimits: { callsPerMinute: PLENTY, concurrentStreams: PLENTY },
      peerLimits: { concurrentTasks: PLENTY },
    },
  }
  await writeFile(join(dir, '_global.json'), JSON.stringify(own))
  await writeFile(join(dir, `${TENANT}.json`), JSON.stringify(tenant))
}

async function untilReady(started: Started, adminPort: number): Promise<void> {
  const patience = AbortSignal.timeout(READY_WITHIN_MS)
  const tooEarly = started.ended.then(() => started.line()).then(() => true)
  for (;;) {
    if (patience.aborted) throw new Error('mesh-gateway is not ready in time')
    const ready = await Promise.race([isReady(adminPort), tooEarly])
    if (ready) return
    await sleep(10)
  }
}

async function isReady(port: number): Promise<boolean> {
  try {
    const request = get({ host: '127.0.0.1', port, path: '/ready', agent: false })
    const [response] = await once(request, 'response')
    response.resume()
    return response.statusCode === 200
  } catch {
    return false // it does not listen yet
  }
}
