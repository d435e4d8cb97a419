/** The latest decisions, with filters; of each refusal what it means, its rule, and what would be decided now. */
import { html, type TemplateResult } from 'lit-html'
import { choice, field, state, table } from './parts.ts'
import type { Decision, Decisions } from './shapes.ts'
import { agent, clock, count, duration, name } from './words.ts'

export interface DecisionFilter {
  readonly agent: string
  readonly host: string
  readonly reason: string
  readonly plane: string
  readonly allowed: string
}

export const NO_FILTER: DecisionFilter = Object.freeze({
  ...{ agent: '', host: '', reason: '', plane: '', allowed: 'false' },
})

export interface DecisionActions {
  set(filter: DecisionFilter): void
  /** Asks why, by the policy in force now. */
  explain(decision: Decision): void
}

export function decisionsPath(filter: DecisionFilter): string {
  const asked = Object.entries(filter).filter(([, value]) => value !== '')
  return `decisions?${new URLSearchParams([...asked, ['last', '200']])}`
}

export function decisionsPage(
  { decisions, more, reasons }: Decisions,
  filter: DecisionFilter,
  { set, explain }: DecisionActions,
): TemplateResult {
  const put = (key: keyof DecisionFilter) => (value: string) => set({ ...filter, [key]: value })
  return html`
    <form class="filters" aria-label="Filters" @submit=${(event: Event) => event.preventDefault()}>
      ${choice('allowed', 'Decision', filter.allowed, DECIDED, put('allowed'))}
      ${choice('plane', 'Plane', filter.plane, PLANES, put('plane'))}
      ${field('agent', 'Agent', filter.agent, put('agent'), { hint: 'acme/planner' })}
      ${field('host', 'Host or callee', filter.host, put('host'), { hint: 'api.example.com' })}
      ${field('reason', 'Reason', filter.reason, put('reason'), { hint: 'MESH_POLICY' })}
    </form>
    ${table(
      'Decisions, the latest first',
      ['time', 'decision', 'agent', 'to', 'reason', 'now', 'rule', 'how', 'took', 'tree'],
      decisions.map((one) => [
        clock(one.time),
        html`${state(one.action_allowed ? 'allowed' : 'refused')}
          ${one.repeated === null ? '' : `${count(one.repeated)} times`}
          ${one.mode === 'audit' ? 'audit mode' : ''}`,
        name(`${one.tenant ?? '?'}/${one.agent_id ?? '?'}`),
        toOf(one),
        one.reason ?? '',
        whyButton(one, explain),
        one.rule === null ? '' : name(one.rule),
        howOf(one),
        duration(one.duration_ms),
        one.root_id === null ? '' : html`<a href="#trees/${one.root_id}">tree</a>`,
      ]),
      'none that fits',
    )}
    ${more ? html`<p>Older ones fit as well: narrow the filter, or read the audit log.</p>` : ''}
    ${
      Object.keys(reasons).length === 0
        ? ''
        : html`<h2>What the reasons mean</h2>
        <dl>${Object.entries(reasons).map(
          ([code, { meaning, hint }]) =>
            html`<div><dt><code>${code}</code></dt><dd>${meaning}: ${hint}</dd></div>`,
        )}</dl>`
    }`
}

const DECIDED = [
  ['false', 'refused'],
  ['true', 'allowed'],
  ['', 'all'],
] as const
const PLANES = [
  ['', 'both'],
  ['delegation', 'delegation'],
  ['egress', 'egress'],
] as const

function toOf(one: Decision): string {
  if (one.event === 'delegation') return agent(one.callee)
  return one.destination_port === null
    ? name(one.destination_host)
    : `${name(one.destination_host)}:${one.destination_port}`
}

/** The method; of a call without its service. */
function howOf(one: Decision): string {
  return one.event === 'egress' ? name(one.method) : name(one.grpc_method?.replace(/^.*\//, ''))
}

/** Of what policy can be asked about. */
function whyButton(one: Decision, explain: DecisionActions['explain']) {
  if (one.tenant === null || one.agent_id === null || (one.destination_host ?? one.callee) == null)
    return ''
  const words = `Why, for ${name(`${one.tenant}/${one.agent_id}`)} to ${toOf(one)}`
  return html`<button type="button" aria-label=${words} @click=${() => explain(one)}>why</button>`
}
