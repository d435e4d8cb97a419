/**
 * The revocations in memory: one map per kind, changed entry by entry, so that a change costs the same however many
 * there are. Counts the entries that agents have made; operators' entries are not counted, so they always have room.
 */
import { REVOCATION_KINDS, type RevocationEntry, type RevocationKind } from './entry.ts'

/** How many tokens agents may have revoked at a time. An entry is removed when its token has expired. */
export interface Shares {
  /** Maximum per agent. */
  readonly agent: number
  /** Maximum for all agents of one tenant. */
  readonly tenant: number
  /** Maximum for all agents. */
  readonly all: number
  /** A tenant with fewer entries than this is not affected by the entries of others. */
  readonly reserved: number
}

export const SHARES: Shares = Object.freeze({
  agent: 1_000,
  tenant: 10_000,
  all: 100_000,
  reserved: 100,
})

/** The shares of a `tenant/agent`. */
type Share = 'agent' | 'tenant' | 'all'

interface Held {
  readonly entry: RevocationEntry
  /** Milliseconds since the epoch. */
  readonly endMs: number
}

/** Minimum time between sweeps, since a sweep visits all entries. */
const SWEEP_MS = 1_000

export class RevokedIndex {
  readonly #maps: Readonly<Record<RevocationKind, Map<string, Held>>> = {
    certificate: new Map(),
    agent: new Map(),
    txn: new Map(),
    token: new Map(),
  }
  /** Counts by `tenant/agent`, and by tenant. */
  readonly #agents = new Map<string, number>()
  readonly #tenants = new Map<string, number>()
  #byAgents = 0
  #nextEndMs = Number.POSITIVE_INFINITY
  #sweptMs = Number.NEGATIVE_INFINITY

  get size(): number {
    return REVOCATION_KINDS.reduce((sum, kind) => sum + this.#maps[kind].size, 0)
  }

  /** The number of entries made by agents. */
  get byAgents(): number {
    return this.#byAgents
  }

  /** When the next sweep may remove something, milliseconds since the epoch. Infinite: no entry ends. */
  get nextSweepMs(): number {
    return Math.max(this.#nextEndMs, this.#sweptMs + SWEEP_MS)
  }

  sizeOf(kind: RevocationKind): number {
    return this.#maps[kind].size
  }

  /** May return an ended entry that is not swept yet. */
  get(kind: RevocationKind, value: string): RevocationEntry | undefined {
    return this.#maps[kind].get(value)?.entry
  }

  /** Replaces an entry for the same value. */
  add(entry: RevocationEntry): void {
    this.remove(entry.kind, entry.value)
    const endMs = entry.until === null ? Number.POSITIVE_INFINITY : Date.parse(entry.until)
    this.#maps[entry.kind].set(entry.value, { entry, endMs })
    this.#count(entry.by, 1)
    this.#nextEndMs = Math.min(this.#nextEndMs, endMs)
  }

  /** True when it was there. */
  remove(kind: RevocationKind, value: string): boolean {
    const held = this.#maps[kind].get(value)
    if (held === undefined) return false
    this.#maps[kind].delete(value)
    this.#count(held.entry.by, -1)
    return true
  }

  *entries(): Generator<RevocationEntry> {
    for (const kind of REVOCATION_KINDS)
      for (const { entry } of this.#maps[kind].values()) yield entry
  }

  /** Removes ended entries, at most once a second. */
  sweep(nowMs: number): void {
    if (nowMs < this.nextSweepMs) return
    this.#sweptMs = nowMs
    this.#nextEndMs = Number.POSITIVE_INFINITY
    for (const kind of REVOCATION_KINDS)
      for (const { entry, endMs } of this.#maps[kind].values())
        if (endMs <= nowMs) this.remove(kind, entry.value)
        else this.#nextEndMs = Math.min(this.#nextEndMs, endMs)
  }

  /** The share that leaves an agent no room for one more; null when it has room. */
  full(agent: string, shares: Shares): Share | null {
    if ((this.#agents.get(agent) ?? 0) >= shares.agent) return 'agent'
    const ofTenant = this.#tenants.get(tenantOf(agent)) ?? 0
    if (ofTenant >= shares.tenant) return 'tenant'
    return this.#byAgents >= shares.all && ofTenant >= shares.reserved ? 'all' : null
  }

  #count(agent: string | null, change: 1 | -1): void {
    if (agent === null) return
    this.#byAgents += change
    add(this.#agents, agent, change)
    add(this.#tenants, tenantOf(agent), change)
  }
}

export function indexOf(entries: Iterable<RevocationEntry>): RevokedIndex {
  const index = new RevokedIndex()
  for (const entry of entries) index.add(entry)
  return index
}

function tenantOf(agent: string): string {
  return agent.slice(0, agent.indexOf('/'))
}

function add(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const next = (counts.get(key) ?? 0) + change
  if (next === 0) counts.delete(key)
  else counts.set(key, next)
}
