/** The facts of a running gateway that `mesh-gateway top` shows, read from its admin port. */
import { MeshError } from '@clawmesh/proto'
import { z } from 'zod'
import { askAdmin, SILENT } from './ask-admin.ts'

const text = z.string()
const count = z.number()
const fault = z.object({ what: text, reason: text })
const counts = z.object({ allow: count, audit: count, deny: count })
const OVERVIEW = z.object({
  version: text,
  started: text,
  identity: text,
  ready: z.boolean(),
  missing: z.array(fault),
  degraded: z.array(fault),
  workers: z.array(z.object({ worker: count, state: text, pid: count.nullable() })),
  policy: z.object({ generation: count, tenants: count }),
  decisions: z.object({ egress: counts, delegation: counts }),
  open: z.object({ calls: count, tunnels: count }),
  memory_bytes: count,
  ...SILENT,
})
const record = z.object({
  time: text,
  event: text,
  tenant: text.nullable(),
  agent_id: text.nullable(),
  destination_host: text.nullable().optional(),
  callee: text.nullable().optional(),
  reason: text.nullable(),
  rule: text.nullable(),
  repeated: count.nullable().optional(),
})
const DECISIONS = z.object({ decisions: z.array(record) })
const TREES = z.object({
  trees: z.array(
    z.object({
      root_id: text,
      origin: text.nullable(),
      duration_ms: count,
      delegations: count,
      states: z.object({ running: count.optional(), refused: count.optional() }),
    }),
  ),
})
const PEERS = z.object({
  peers: z.array(
    z.object({
      name: text,
      addresses: z.array(
        z.object({ ip: text, port: count, streams: count, avoided_ms: count, failures: count }),
      ),
    }),
  ),
})
const LIMITS = z.object({
  counted_in: text,
  // Redis counts for all gateways together, and is not asked
  uses: z.array(z.object({ key: text, kind: text, used: count.nullable(), most: count })),
})
const CERTIFICATES = z.object({
  certificates: z.array(z.object({ kind: text, name: text, until: text.nullable() })),
})

export interface TopFacts {
  readonly overview: z.infer<typeof OVERVIEW>
  /** The latest refusals, the newest first. */
  readonly refused: z.infer<typeof DECISIONS>['decisions']
  readonly trees: z.infer<typeof TREES>['trees']
  readonly peers: z.infer<typeof PEERS>['peers']
  readonly limits: z.infer<typeof LIMITS>
  readonly certificates: z.infer<typeof CERTIFICATES>['certificates']
}

/** What one gateway has answered. */
export interface Seen {
  readonly url: string
  /** By the clock of `performance`, in milliseconds. */
  readonly atMs: number
  /** Why it did not answer; null when it did. */
  readonly fault: string | null
  readonly facts: TopFacts | null
}

/** Never rejects for a gateway that does not answer. */
export async function askTop(url: string): Promise<Seen> {
  try {
    const [overview, { decisions: refused }, { trees }, { peers }, limits, { certificates }] =
      await Promise.all([
        askAdmin(url, 'overview', OVERVIEW),
        askAdmin(url, 'decisions?allowed=false&last=20', DECISIONS),
        askAdmin(url, 'trees?last=50', TREES),
        askAdmin(url, 'peers', PEERS),
        askAdmin(url, 'limits', LIMITS),
        askAdmin(url, 'certificates', CERTIFICATES),
      ])
    const facts = { overview, refused, trees, peers, limits, certificates }
    return { url, atMs: performance.now(), fault: null, facts }
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    return { url, atMs: performance.now(), fault: error.message, facts: null }
  }
}
