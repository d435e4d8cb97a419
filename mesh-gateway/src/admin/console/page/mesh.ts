/** The mesh as a picture: who calls whom, what agents reach, and what is refused, in red; the same as a table. */
import { html, type TemplateResult } from 'lit-html'
import type { Edge } from '../../api/answer-shapes.ts'
import { drawMesh } from './draw-mesh.ts'
import { layOut } from './lay-out.ts'
import { field, table } from './parts.ts'
import type { Mesh } from './shapes.ts'
import { clock, count, duration, name } from './words.ts'

export interface MeshFilter {
  readonly agent: string
  set(agent: string): void
}

/** The most edges in the picture; the table has the others. */
const MOST_DRAWN = 60

export function meshPage({ edges, left_out: leftOut }: Mesh, filter: MeshFilter): TemplateResult {
  const wanted = filter.agent.toLowerCase()
  const fits = (one: Edge) => `${one.from} ${one.to}`.toLowerCase().includes(wanted)
  const found = edges.filter(fits).toSorted(byWeight)
  // calls to the gateway itself, such as for a token, would hide the others
  const drawn = found.filter(({ to }) => to?.startsWith('spiffe://') !== true).slice(0, MOST_DRAWN)
  return html`
    <p>Of the latest calls and requests that this gateway remembers: ${count(edges.length)} pairs.
      ${leftOut === 0 ? '' : `${count(leftOut)} requests of further pairs are left out.`}</p>
    ${field('agent', 'Agent or host', filter.agent, filter.set)}
    <figure>
      ${drawMesh(layOut(drawn))}
      <figcaption>${
        drawn.length < found.length
          ? `The ${drawn.length} busiest of ${count(found.length)} pairs, those with refusals first.`
          : `${count(found.length)} pairs.`
      } A dashed red line has refusals.</figcaption>
    </figure>
    ${table(
      'Who calls whom',
      ['from', 'to', 'allowed', 'refused', 'open', 'on average', 'latest', 'last refusal'],
      found.map((edge) => [
        name(edge.from),
        name(edge.to),
        count(edge.allowed),
        edge.refused === 0 ? '0' : html`<span class="bad">${count(edge.refused)}</span>`,
        count(edge.open),
        edge.allowed === 0 ? '' : duration(edge.duration_ms / edge.allowed),
        clock(edge.last),
        edge.reason === null ? '' : `${edge.reason} ${name(edge.rule ?? 'no rule')}`,
      ]),
    )}`
}

/** Refusals first, then what is open, then the busiest. */
function byWeight(a: Edge, b: Edge): number {
  const refused = Number(b.refused > 0) - Number(a.refused > 0)
  return refused || b.open - a.open || b.allowed + b.refused - a.allowed - a.refused
}
