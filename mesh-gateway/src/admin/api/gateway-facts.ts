/** Answers the questions of the admin port about one process of a gateway. Works when asked, never per request. */
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import type { AuditRecord } from '../../audit/audit-record.ts'
import type { RecentLines } from '../../audit/recent-lines.ts'
import type { Config } from '../../config/schema.ts'
import type { OpenLimits } from '../../limits/open-limits.ts'
import type { PeerState } from '../../live/peer-state.ts'
import type { OpenWork } from '../../live/registry.ts'
import { formatListenAddress } from '../../net/listen-address.ts'
import type { ListenAddress } from '../../net/port.ts'
import { explainAsked } from '../../policy/decide/explain-asked.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'
import { inSlices } from '../../process/in-slices.ts'
import { type AgentOf, agentNames } from '../../recorded/recorded-case.ts'
import type { MetricsHandle } from '../../telemetry/create-metrics.ts'
import type { KeyRing } from '../../tokens/key-ring.ts'
import { mayTellOf } from '../../trees/tree-record.ts'
import type { Counts, OverviewFacts } from './answer-shapes.ts'
import { certificatesOf } from './certificates.ts'
import { edgesOf } from './edges.ts'
import { answerOf, type Facts, type FactsSource, type Line } from './facts.ts'
import { allLines, findDecisions, newestFirst } from './newest-lines.ts'
import { createCandidateReplay } from './replay-candidate.ts'

export interface GatewayFactsOptions {
  readonly config: () => Config
  readonly addresses: Readonly<Record<'egress' | 'delegation' | 'admin', ListenAddress>>
  readonly identity: Pick<IdentityStore, 'current'>
  readonly policy: { current(): PolicySnapshot }
  readonly keyRing: Pick<KeyRing, 'list'>
  /** Of the egress port; null without TLS. */
  readonly certificate: { current(): { readonly chain: string } } | null
  readonly audit: { healthy(): boolean }
  readonly recent: Pick<RecentLines, 'of'>
  readonly limits: Pick<OpenLimits, 'countedIn' | 'usage'>
  readonly metrics: Pick<MetricsHandle, 'registry'>
  readonly delegation: {
    open(most: number): OpenWork
    peers(most: number): readonly PeerState[]
  }
  readonly egress: { open(most: number): OpenWork }
}

const MAX_OPEN = 1_000
const MAX_PEERS = 1_000
const MAX_LIMITS = 500
const MAX_CLOSED = 100
/** How long one answer serves several questions, in milliseconds. */
const SHARED_MS = 500

export function createGatewayFacts(options: GatewayFactsOptions): Facts {
  const { config, policy, recent, limits, delegation, egress } = options
  const agentOf = () => agentNames(config().spiffe.agentPath)
  const openLines = () =>
    [...delegation.open(MAX_OPEN).records, ...egress.open(MAX_OPEN).records].map(lineOf)
  return {
    overview: () => overviewOf(options),
    decisions: (filter) => inSlices(findDecisions(recent, filter)),
    // however many look at the picture
    edges: sharedFor(SHARED_MS, () =>
      inSlices(edgesOf(newestFirst(allLines(recent)), openLines(), agentOf())),
    ),
    tasks({ root }) {
      const lines = [...recent.of('delegation'), ...recent.of('refused')]
      const open = delegation.open(MAX_OPEN).records.map(lineOf)
      return [...lines, ...open].filter((line) => mayTellOf(line, root))
    },
    open: () => ({
      calls: delegation.open(0).count,
      tunnels: egress.open(0).count,
      lines: openLines(),
    }),
    peers: () => delegation.peers(MAX_PEERS),
    limits: () => ({ counted_in: limits.countedIn, uses: limits.usage(MAX_LIMITS) }),
    certificates: async () =>
      certificatesOf({
        ...{ identity: options.identity, keyRing: options.keyRing },
        egressChain: options.certificate?.current().chain ?? null,
        crlNextUpdate: await gaugeOf(options.metrics, 'clawmesh_crl_next_update_seconds'),
      }),
    explain: (asked) => explainAsked(asked, policy.current(), config().policy.dir),
    replay: createCandidateReplay({ recent, policy, agentOf }),
  }
}

/** Gives all that ask within a time the same answer. */
function sharedFor<T>(ms: number, make: () => Promise<T>): () => Promise<T> {
  let latest: { readonly answer: Promise<T>; readonly untilMs: number } | null = null
  return () => {
    const nowMs = performance.now()
    if (latest === null || nowMs >= latest.untilMs) latest = { answer: make(), untilMs: nowMs + ms }
    return latest.answer
  }
}

/** What the admin port of a gateway of one process needs. */
export function ofOneProcess(
  facts: Facts,
  config: () => Config,
): { readonly facts: FactsSource; readonly agentOf: () => AgentOf } {
  return {
    facts: {
      ask: async (what, asked) => ({
        answers: [await answerOf(facts, { what, asked })],
        silent: 0,
      }),
      workers: () => [],
    },
    agentOf: () => agentNames(config().spiffe.agentPath),
  }
}

async function overviewOf(options: GatewayFactsOptions): Promise<OverviewFacts> {
  const { addresses, identity, audit, delegation, egress, metrics } = options
  const config = options.config()
  const policy = options.policy.current()
  return {
    identity: identity.current().identity.id,
    mesh_domain: config.meshDomain,
    addresses: {
      egress: formatListenAddress(addresses.egress),
      delegation: formatListenAddress(addresses.delegation),
      admin: formatListenAddress(addresses.admin),
    },
    policy: {
      dir: config.policy.dir,
      generation: policy.generation,
      tenants: policy.tenants.size,
      closed: [...policy.closed].slice(0, MAX_CLOSED),
    },
    audit: { file: config.audit.file, healthy: audit.healthy() },
    decisions: await decisionsOf(metrics),
    open: { calls: delegation.open(0).count, tunnels: egress.open(0).count },
    memory_bytes: process.memoryUsage.rss(),
  }
}

async function decisionsOf({ registry }: Pick<MetricsHandle, 'registry'>) {
  const counter = await registry.getSingleMetric('clawmesh_decisions_total')?.get()
  const count = (plane: string): Counts => {
    const of = (action: string) =>
      (counter?.values ?? [])
        .filter(({ labels }) => labels.plane === plane && labels.action === action)
        .reduce((sum, { value }) => sum + value, 0)
    return { allow: of('allow'), audit: of('audit'), deny: of('deny') }
  }
  return { egress: count('egress'), delegation: count('delegation') }
}

async function gaugeOf({ registry }: Pick<MetricsHandle, 'registry'>, name: string) {
  const gauge = await registry.getSingleMetric(name)?.get()
  return gauge?.values[0]?.value ?? null
}

/** A record of what is open, as a line of the audit log; one without an id of its opening gets one. */
function lineOf(record: AuditRecord, index: number): Line {
  const openId = record.open_id ?? `open-${index}`
  return `${JSON.stringify({ time: new Date().toISOString(), ...record, open_id: openId })}\n`
}
