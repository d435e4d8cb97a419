/** Makes one answer of the answers of all processes of a gateway. Pure. */
import { fullestFirst } from '../../limits/create-limits.ts'
import type { PeerState } from '../../live/peer-state.ts'
import type { Changed, ReplayFacts } from '../../recorded/replay-shapes.ts'
import type { Counts, OverviewFacts } from './answer-shapes.ts'
import type { Answer } from './facts.ts'
import { newestFirst } from './newest-lines.ts'

export function mergeOverviews(all: readonly OverviewFacts[]): OverviewFacts | null {
  const [first] = all
  if (first === undefined) return null
  const add = (of: (one: OverviewFacts) => number) => all.reduce((sum, one) => sum + of(one), 0)
  const counts = (of: (one: OverviewFacts) => Counts): Counts => ({
    allow: add((one) => of(one).allow),
    audit: add((one) => of(one).audit),
    deny: add((one) => of(one).deny),
  })
  return {
    ...first,
    audit: { ...first.audit, healthy: all.every(({ audit }) => audit.healthy) },
    decisions: {
      egress: counts(({ decisions }) => decisions.egress),
      delegation: counts(({ decisions }) => decisions.delegation),
    },
    open: { calls: add(({ open }) => open.calls), tunnels: add(({ open }) => open.tunnels) },
    memory_bytes: add((one) => one.memory_bytes),
  }
}

export function mergeDecisions(
  all: readonly Answer['decisions'][],
  last: number,
): Answer['decisions'] {
  const oldestFirst = all.map(({ lines }) => lines.toReversed())
  const lines = newestFirst(oldestFirst)
    .take(last + 1)
    .toArray()
  const more = lines.length > last || all.some((one) => one.more)
  return { lines: lines.slice(0, last), more }
}

export function mergeOpen(all: readonly Answer['open'][]): Answer['open'] {
  return {
    calls: all.reduce((sum, { calls }) => sum + calls, 0),
    tunnels: all.reduce((sum, { tunnels }) => sum + tunnels, 0),
    lines: all.flatMap(({ lines }) => lines),
  }
}

/** Each process has sessions of its own to a peer: their numbers are added up, and an address avoided by one is avoided. */
export function mergePeers(all: readonly (readonly PeerState[])[]): readonly PeerState[] {
  const merged = new Map<string, PeerState>()
  for (const peer of all.flat()) {
    const key = `${peer.tenant} ${peer.name} ${peer.port}`
    const before = merged.get(key)
    const addresses = sumAddresses([...(before?.addresses ?? []), ...peer.addresses])
    merged.set(key, { ...peer, addresses })
  }
  return [...merged.values()]
}

function sumAddresses(all: PeerState['addresses']): PeerState['addresses'] {
  const by = Map.groupBy(all, ({ ip, port }) => `${ip} ${port}`)
  return [...by.values()].flatMap((same) => {
    const [first] = same
    if (first === undefined) return []
    return {
      ...{ ip: first.ip, port: first.port },
      sessions: same.reduce((sum, { sessions }) => sum + sessions, 0),
      streams: same.reduce((sum, { streams }) => sum + streams, 0),
      avoided_ms: Math.max(...same.map((one) => one.avoided_ms)),
      failures: Math.max(...same.map(({ failures }) => failures)),
    }
  })
}

/** A supervisor counts for its workers; they have nothing to tell then. Limits in Redis are those of all workers. */
export function mergeLimits(all: readonly Answer['limits'][], most: number): Answer['limits'] {
  const each = new Map(
    all.flatMap(({ uses }) => uses.map((use) => [`${use.kind} ${use.key}`, use])),
  )
  const uses = fullestFirst([...each.values()]).slice(0, most)
  return { counted_in: all[0]?.counted_in ?? 'process', uses }
}

/** `busy` when one was busy, the faults when there are some: every process has judged the same files. */
export function mergeReplays(all: readonly Answer['replay'][]): Answer['replay'] | null {
  const facts: ReplayFacts[] = []
  for (const one of all) {
    if (one === 'busy' || 'faults' in one) return one
    facts.push(one)
  }
  const [first] = facts
  return first === undefined ? null : facts.slice(1).reduce(sumReplays, first)
}

function sumReplays(a: ReplayFacts, b: ReplayFacts): ReplayFacts {
  const oldest = [a.since, b.since].filter((one) => one !== null).sort()[0] ?? null
  return {
    records: a.records + b.records,
    not_of_policy: a.not_of_policy + b.not_of_policy,
    since: oldest,
    same: a.same + b.same,
    not_judged: a.not_judged + b.not_judged,
    broken_files: [...new Set([...a.broken_files, ...b.broken_files])],
    newly_refused: a.newly_refused + b.newly_refused,
    newly_allowed: a.newly_allowed + b.newly_allowed,
    by_audit_mode: a.by_audit_mode + b.by_audit_mode,
    examples: {
      newly_refused: sumChanged(a.examples.newly_refused, b.examples.newly_refused),
      newly_allowed: sumChanged(a.examples.newly_allowed, b.examples.newly_allowed),
    },
  }
}

export function sumChanged(a: readonly Changed[], b: readonly Changed[]): readonly Changed[] {
  const found = new Map<string, Changed>()
  for (const one of [...a, ...b]) {
    const key = JSON.stringify([one.plane, one.agent, one.what, one.code])
    const count = (found.get(key)?.count ?? 0) + one.count
    found.set(key, { ...one, count })
  }
  return [...found.values()]
}
