/** Adds up, from lines of the audit log, who called whom and what was refused: the edges of the picture of a mesh. */
import type { Steps } from '../../process/in-slices.ts'
import type { AgentOf } from '../../recorded/recorded-case.ts'
import type { Edge } from './answer-shapes.ts'
import type { Line } from './facts.ts'
import { type OwnFields, ownFields } from './newest-lines.ts'

/** Over it, further edges are counted as left out. */
const MAX_EDGES = 3_000

export interface Edges {
  readonly edges: readonly Edge[]
  /** Records for whose edge there was no room. */
  readonly left_out: number
}

/** @param open lines of what is open now */
export function* edgesOf(
  lines: Iterable<Line>,
  open: Iterable<Line>,
  agentOf: AgentOf,
): Steps<Edges> {
  const found = new Found()
  // an agent is in many lines: its id is read once
  const names = new Map<string, string>()
  const nameOf = (id: string) => {
    const known = names.get(id)
    if (known !== undefined) return known
    const peer = agentOf(id)
    const name = peer === null ? id : `${peer.tenant}/${peer.agent}`
    names.set(id, name)
    return name
  }
  for (const line of lines) {
    const fields = ownFields(line)
    // what is open is counted as such, or by its end
    if (fields.phase !== 'open') found.add(edgeOf(fields, nameOf, false))
    yield
  }
  for (const line of open) {
    found.add(edgeOf(ownFields(line), nameOf, true))
    yield
  }
  return found.all()
}

export function mergeEdges(parts: readonly Edges[]): Edges {
  const found = new Found()
  for (const { edges } of parts) for (const edge of edges) found.add(edge)
  const { edges, left_out: more } = found.all()
  return { edges, left_out: parts.reduce((sum, one) => sum + one.left_out, more) }
}

class Found {
  readonly #edges = new Map<string, Edge>()
  #leftOut = 0

  add(edge: Edge): void {
    const key = JSON.stringify([edge.plane, edge.from, edge.to])
    const before = this.#edges.get(key)
    if (before === undefined && this.#edges.size >= MAX_EDGES)
      this.#leftOut += edge.allowed + edge.refused
    else this.#edges.set(key, before === undefined ? edge : sum(before, edge))
  }

  all(): Edges {
    return { edges: [...this.#edges.values()], left_out: this.#leftOut }
  }
}

function sum(a: Edge, b: Edge): Edge {
  const later = b.last >= a.last ? b : a
  const earlier = later === b ? a : b
  return {
    ...later,
    allowed: a.allowed + b.allowed,
    refused: a.refused + b.refused,
    open: a.open + b.open,
    reason: later.reason ?? earlier.reason,
    rule: later.reason === null ? earlier.rule : later.rule,
    duration_ms: Math.round((a.duration_ms + b.duration_ms) * 1000) / 1000,
  }
}

function edgeOf(fields: OwnFields, nameOf: (id: string) => string, isOpen: boolean): Edge {
  const text = (name: string) => {
    const value = fields[name]
    return typeof value === 'string' ? value : null
  }
  const number = (name: string) => {
    const value = fields[name]
    return typeof value === 'number' ? value : 0
  }
  const [tenant, agent] = [text('tenant'), text('agent_id')]
  // an identity that is no agent's, such as the gateway's, as it is
  const named = (id: string | null) => (id === null ? null : nameOf(id))
  const plane = text('event') === 'egress' ? 'egress' : 'delegation'
  const allowed = fields.action_allowed === true
  const times = Math.max(1, number('repeated'))
  return {
    plane,
    from: tenant === null || agent === null ? null : `${tenant}/${agent}`,
    to:
      plane === 'egress' ? destinationOf(text('destination_host'), fields) : named(text('callee')),
    allowed: allowed ? times : 0,
    refused: allowed ? 0 : times,
    open: isOpen ? 1 : 0,
    reason: allowed ? null : text('reason'),
    rule: allowed ? null : text('rule'),
    duration_ms: allowed ? number('duration_ms') : 0,
    last: text('time') ?? '',
  }
}

function destinationOf(host: string | null, fields: OwnFields): string | null {
  if (host === null) return null
  const port = fields.destination_port
  return typeof port === 'number' ? `${host.includes(':') ? `[${host}]` : host}:${port}` : host
}
