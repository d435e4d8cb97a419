/** The first page: is all well, how much goes on, what is refused. */
import { html, type TemplateResult } from 'lit-html'
import type { Counts } from '../../api/answer-shapes.ts'
import { facts, state, table } from './parts.ts'
import type { Certificates, Overview } from './shapes.ts'
import { count, name, span, timeLeft } from './words.ts'

export interface OverviewData {
  readonly overview: Overview
  readonly certificates: Certificates
}

export function overviewPage(
  { overview, certificates }: OverviewData,
  nowMs: number,
): TemplateResult {
  const faults = [...overview.missing, ...overview.degraded]
  const word = !overview.ready ? 'not ready' : faults.length > 0 ? 'degraded' : 'ready'
  return html`
    <p>${state(word)} ${name(overview.identity)}</p>
    ${
      faults.length === 0
        ? ''
        : html`<ul class="faults">${faults.map((one) => html`<li>${name(one.what)}: ${one.reason}</li>`)}</ul>`
    }
    ${table(
      'Decisions since the start',
      ['plane', 'allowed', 'by audit mode', 'refused', 'open now'],
      [
        decisionRow('delegation', overview.decisions.delegation, overview.open.calls),
        decisionRow('egress', overview.decisions.egress, overview.open.tunnels),
      ],
    )}
    ${facts('The gateway', [
      ['running for', span(nowMs - Date.parse(overview.started))],
      ['memory', `${Math.round(overview.memory_bytes / 1_048_576)} MiB`],
      ['mesh domain', name(overview.mesh_domain)],
      [
        'policy',
        `generation ${overview.policy.generation}, ${count(overview.policy.tenants)} tenants`,
      ],
      ...closed(overview.policy.closed),
      [
        'audit log',
        `${name(overview.audit.file)}, ${overview.audit.healthy ? 'written' : 'cannot be written'}`,
      ],
      ['delegation port', overview.addresses.delegation],
      ['egress port', overview.addresses.egress],
      ['version', `${overview.version}, Node ${overview.node}`],
    ])}
    ${
      overview.workers.length === 0
        ? ''
        : table(
            'Worker processes of this gateway',
            ['worker', 'state', 'process'],
            overview.workers.map((one) => [one.worker, state(one.state), one.pid ?? 'none']),
          )
    }
    ${certificateTable(certificates, nowMs)}`
}

function closed(tenants: readonly string[]): readonly (readonly [string, string])[] {
  return tenants.length === 0
    ? []
    : [['tenants whose file is broken', tenants.map(name).join(', ')]]
}

function decisionRow(plane: string, { allow, audit, deny }: Counts, open: number) {
  const refused = deny === 0 ? count(deny) : html`<span class="bad">${count(deny)}</span>`
  return [plane, count(allow), count(audit), refused, count(open)]
}

const SOON_MS = 6 * 3_600_000

export function certificateTable({ certificates }: Certificates, nowMs: number): TemplateResult {
  return table(
    'Certificates and keys',
    ['what', 'name', 'ends', 'at'],
    certificates.map(({ kind, name: of, role, until }) => {
      const soon = until !== null && Date.parse(until) - nowMs < SOON_MS
      const left = until === null ? 'no end' : timeLeft(until, nowMs)
      return [
        role === null ? kind : `${kind}, ${role}`,
        name(of),
        soon ? html`<span class="bad">${left}</span>` : left,
        until ?? '',
      ]
    }),
  )
}
