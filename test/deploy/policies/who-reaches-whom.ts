/** Who reaches whom with the NetworkPolicies of both charts: the table that the guide promises, for every judge of it. */
import { METADATA_ADDRESS, NODE_ADDRESS, OUTSIDE_ADDRESS } from './addresses.ts'

export interface Place {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
}

export interface Destination {
  /** As the table calls it. */
  readonly name: string
  /** A place, or an address that is no pod's. */
  readonly at: string
  readonly port: number
}

export type State = 'open' | 'closed'
/** By destination. */
export type Row = Readonly<Record<string, State>>
/** By source: a place, or `outside`. */
export type Table = Readonly<Record<string, Row>>

/** The port of agents, and one that no rule names. */
export const [AGENT_PORT, OTHER_PORT] = [7443, 9999] as const

/** Pods: of the gateway, of two tenants, for DNS, and of nobody. */
export const PLACES: Readonly<Record<string, Place>> = {
  gateway: {
    namespace: 'mesh-system',
    labels: {
      'app.kubernetes.io/name': 'clawmesh-gateway',
      'app.kubernetes.io/instance': 'mesh',
    },
  },
  a1: { namespace: 'acme', labels: {} },
  a2: { namespace: 'acme', labels: {} },
  b1: { namespace: 'globex', labels: {} },
  dns: { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } },
  stranger: { namespace: 'default', labels: {} },
}

export const DESTINATIONS: readonly Destination[] = [
  { name: 'gateway egress', at: 'gateway', port: 8080 },
  { name: 'gateway delegation', at: 'gateway', port: 8443 },
  { name: 'gateway health', at: 'gateway', port: 9091 },
  { name: 'gateway admin', at: 'gateway', port: 9090 },
  ...['a1', 'a2', 'b1'].flatMap((at) => [
    { name: `${at} agent`, at, port: AGENT_PORT },
    { name: `${at} other`, at, port: OTHER_PORT },
  ]),
  { name: 'dns', at: 'dns', port: 53 },
  { name: 'API server', at: NODE_ADDRESS, port: 6443 },
  { name: 'metadata', at: METADATA_ADDRESS, port: 80 },
  ...[80, 443, 25, 8443].map((port) => ({ name: `outside ${port}`, at: OUTSIDE_ADDRESS, port })),
]

const EVERYTHING_OUTSIDE = [
  ...['API server', 'metadata', 'outside 80', 'outside 443', 'outside 25', 'outside 8443'],
]
/** What a pod in no namespace of the mesh reaches: what no policy of the mesh is about. */
const NOT_OURS = ['dns', ...EVERYTHING_OUTSIDE]

/** By the source, what is open to it, itself left out. All else is closed. */
const OPEN: Readonly<Record<string, readonly string[]>> = {
  a1: ['gateway egress', 'gateway delegation'],
  b1: ['gateway egress', 'gateway delegation'],
  gateway: ['a1 agent', 'a2 agent', 'b1 agent', 'dns', 'outside 80', 'outside 443'],
  stranger: NOT_OURS,
  outside: NOT_OURS,
}

export const SOURCES = Object.keys(OPEN)

/** The table, without what a pod reaches of itself. */
export function wantedTable(changed: Readonly<Record<string, readonly string[]>> = {}): Table {
  return tableOf((source, { name }) =>
    (changed[source] ?? OPEN[source] ?? []).includes(name) ? 'open' : 'closed',
  )
}

/** Of a pod of acme, when the policy of its namespace is gone. */
export const OPEN_WITHOUT_POLICY: Readonly<Record<string, readonly string[]>> = {
  a1: ['gateway egress', 'gateway delegation', 'a2 agent', 'a2 other', ...NOT_OURS],
  stranger: ['a1 agent', 'a1 other', 'a2 agent', 'a2 other', ...NOT_OURS],
  outside: ['a1 agent', 'a1 other', 'a2 agent', 'a2 other', ...NOT_OURS],
}

export function tableOf(judge: (source: string, to: Destination) => State): Table {
  return Object.fromEntries(
    SOURCES.map((source) => [
      source,
      Object.fromEntries(
        DESTINATIONS.filter(({ at }) => at !== source).map((to) => [to.name, judge(source, to)]),
      ),
    ]),
  )
}
