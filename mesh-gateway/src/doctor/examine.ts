/** Runs every check on the files and addresses of a configuration. Reads and dials; changes nothing. */
import type { IdentitySnapshot } from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import type { Config } from '../config/schema.ts'
import { loadPolicy } from '../policy/index.ts'
import { createResolver } from '../resolve/create-resolver.ts'
import type { Resolver } from '../resolve/resolver.ts'
import { withPorts } from '../resolve/server-addresses.ts'
import { checkAuditLog, readAuditLog } from './audit-log.ts'
import { checkCertificate, readCertificate } from './certificate.ts'
import { checkClocks } from './clocks.ts'
import { checkDnsServers, readDnsServers } from './dns-servers.ts'
import { checkEgressCertificate, readEgressCertificate } from './egress-certificate.ts'
import { checkFileDescriptors, readFileDescriptorLimit } from './file-descriptors.ts'
import { type CheckResult, result } from './finding.ts'
import { checkKernelSettings, readKernelSettings } from './kernel-settings.ts'
import { checkKeyFiles, readKeyFiles } from './key-files.ts'
import { checkLimitsStore, readLimitsStore } from './limits-store.ts'
import { checkNode } from './node-version.ts'
import { checkOwnList, readOwnList } from './own-list.ts'
import { checkPeer } from './peer.ts'
import { checkPeerNames } from './peer-names.ts'
import { checkPolicy } from './policy-files.ts'
import { checkPorts } from './ports.ts'
import { checkProxyEnvironment } from './proxy-environment.ts'
import { type PeerTarget, readPeerFacts } from './read-peer-facts.ts'
import { readPorts } from './read-ports.ts'
import { checkRevocationLists, readRevocationLists } from './revocation-lists.ts'
import { checkSigningKeys, readSigningKeys } from './signing-keys.ts'
import { checkStaticPeers } from './static-peers.ts'
import { checkTlsEnvironment } from './tls-environment.ts'
import { checkTokenIssuers, readTokenIssuers } from './token-issuers.ts'
import { checkTrustBundles } from './trust-bundles.ts'

export interface ExamineOptions {
  /** An error: why there is no configuration. Then only the machine is checked. */
  readonly config: Config | MeshError
  readonly env: Readonly<Record<string, string | undefined>>
  /** In the form of process.version. */
  readonly nodeVersion: string
  /** The identity directory of an agent that cannot connect. */
  readonly agentDir?: string
  /** A peer that cannot be reached. */
  readonly peer?: PeerTarget
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

const NOT_DIALLED = Object.freeze({
  what: 'the peer was not dialled',
  why: 'that takes a good certificate of the gateway',
  todo: 'mend the certificate of the gateway first',
})

export async function examine(options: ExamineOptions): Promise<CheckResult[]> {
  const { config } = options
  const machine = [
    checkNode(options.nodeVersion),
    checkFileDescriptors(await readFileDescriptorLimit()),
    checkKernelSettings(readKernelSettings()),
    checkTlsEnvironment(options.env),
  ]
  if (!(config instanceof MeshError))
    return [...machine, ...(await examineGateway(config, options))]
  const fault = {
    what: inOneLine(config.message),
    why: 'the gateway does not start, and nothing that it names can be examined',
    todo: config.hint,
  }
  return [...machine, result('configuration', 'cannot be used', fault)]
}

/** The faults of a configuration stand below each other; here they are one finding. */
function inOneLine(message: string): string {
  const [head = '', ...faults] = message.split('\n').map((line) => line.trim())
  return faults.length === 0 ? head : `${head}: ${faults.join('; ')}`
}

async function examineGateway(config: Config, options: ExamineOptions): Promise<CheckResult[]> {
  const { now = Date.now, agentDir, peer, env } = options
  const spiffe = createSpiffeTemplate({ trustDomain: config.trustDomain, ...config.spiffe })
  const { dir } = config.identity
  const [own, agent, policy, ring, keyFiles, audit] = await Promise.all([
    readCertificate(dir, spiffe),
    agentDir === undefined ? null : readCertificate(agentDir, spiffe),
    loadPolicy(config.policy),
    readSigningKeys(config.keys.dir),
    readKeyFiles(present([dir, config.egress.tls.dir, agentDir]), config.keys.dir),
    readAuditLog(config.audit.file),
  ])
  const nowMs = now()
  const identity = own instanceof MeshError ? null : own
  const tenants = policy.ok ? [...policy.snapshot.tenants.keys()] : []
  const hosts = [config.delegation.listen, config.admin.listen].map(({ host }) => host)

  const results = [
    checkCertificate({ whose: 'gateway', dir, loaded: own, nowMs }),
    checkKeyFiles(keyFiles),
    checkPolicy(config.policy.dir, policy),
    checkSigningKeys({ dir: config.keys.dir, ring, nowMs }),
    checkAuditLog(audit),
    checkPorts(await readPorts(config, identity, spiffe)),
    checkProxyEnvironment({ env, meshDomain: config.meshDomain, hosts }),
  ]
  if (identity !== null)
    results.push(
      checkPeerNames({ dir, dnsNames: identity.dnsNames, tenants, meshDomain: config.meshDomain }),
    )
  const { peers, listen } = config.delegation
  if (peers !== null)
    results.push(
      checkStaticPeers({
        ...{ peers, meshDomain: config.meshDomain, tenants: policy.ok ? tenants : null },
        own: [
          listen,
          config.admin.listen,
          ...(config.health.listen === null ? [] : [config.health.listen]),
        ],
      }),
    )
  const { crl: file, stale } = config.revocation
  if (file !== null && identity !== null) {
    const lists = await readRevocationLists(file, identity)
    results.push(checkRevocationLists({ file, lists, stale, nowMs }))
  }
  const { list } = config.revocation
  if (list !== null) results.push(checkOwnList({ file: list, list: await readOwnList(list) }))
  if (config.egress.tls.dir !== null) {
    const certificate = await readEgressCertificate(config.egress.tls.dir)
    results.push(checkEgressCertificate({ ...certificate, nowMs }))
  }
  results.push(...(await examineServices(config)))
  if (agent !== null && agentDir !== undefined) {
    results.push(checkCertificate({ whose: 'agent', dir: agentDir, loaded: agent, nowMs }))
    if (identity !== null && !(agent instanceof MeshError))
      results.push(
        checkTrustBundles({ dir, snapshot: identity }, { dir: agentDir, snapshot: agent }),
      )
  }
  if (peer !== undefined)
    results.push(
      ...(identity === null
        ? [result('peer', peer.host, NOT_DIALLED)]
        : await examinePeer(peer, config, identity, now)),
    )
  return results
}

/** Checks the services that a running gateway uses. */
async function examineServices(config: Config): Promise<CheckResult[]> {
  const { dns, limits, meshDomain, timeouts, tokens } = config
  const { url } = limits.redis
  const checks = await Promise.all([
    dns.servers === null
      ? null
      : readDnsServers(dns.servers, meshDomain, timeouts.dnsMs).then(checkDnsServers),
    url === null
      ? null
      : readLimitsStore({ ...limits.redis, url }).then((facts) =>
          checkLimitsStore(facts, limits.whenRedisIsAway),
        ),
    tokens.issuers.length === 0 ? null : examineIssuers(config),
  ])
  return checks.filter((check) => check !== null)
}

async function examineIssuers(config: Config): Promise<CheckResult> {
  const resolver = resolverOf(config)
  try {
    return checkTokenIssuers(await readTokenIssuers(config, resolver))
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    return result('token issuers', 'not asked', {
      what: error.message,
      why: 'the gateway does not start',
      todo: error.hint,
    })
  } finally {
    resolver.close()
  }
}

function resolverOf({ dns, timeouts }: Config): Resolver {
  return createResolver({
    timeoutMs: timeouts.dnsMs,
    ...(dns.servers === null ? {} : { servers: withPorts(dns.servers) }),
  })
}

async function examinePeer(
  target: PeerTarget,
  config: Config,
  identity: IdentitySnapshot,
  now: () => number,
): Promise<CheckResult[]> {
  const servers = config.dns.servers === null ? null : withPorts(config.dns.servers)
  const resolver = resolverOf(config)
  try {
    const spiffe = createSpiffeTemplate({ trustDomain: config.trustDomain, ...config.spiffe })
    const dialTimeoutMs = config.timeouts.dialMs
    const configured = config.delegation.peers?.[target.host] ?? null
    const seen = await readPeerFacts({
      ...{ target, resolver, identity, spiffe, dialTimeoutMs, now },
      peerPorts: config.delegation.peerPorts,
      configured,
    })
    const { answers, clock } = seen
    const peer = checkPeer({ name: target.host, servers, configured: configured !== null, answers })
    return clock === null ? [peer] : [peer, checkClocks(clock)]
  } finally {
    resolver.close()
  }
}

function present(dirs: readonly (string | null | undefined)[]): string[] {
  return [...new Set(dirs.filter((dir) => dir !== null && dir !== undefined))]
}
