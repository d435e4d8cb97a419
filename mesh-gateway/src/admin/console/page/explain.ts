/** Asks the policy in force whether an agent may do something, and why: the rule, or the line to add. */
import { html, type TemplateResult } from 'lit-html'
import { choice, facts, field, state } from './parts.ts'
import type { Decision, Explained } from './shapes.ts'
import { agent, name } from './words.ts'

export interface ExplainForm {
  readonly plane: string
  readonly from: string
  readonly to: string
  readonly method: string
  readonly path: string
  readonly chain: string
}

export const EMPTY_FORM: ExplainForm = Object.freeze({
  ...{ plane: 'delegation', from: '', to: '', method: '', path: '', chain: 'no' },
})

export interface ExplainState {
  readonly form: ExplainForm
  readonly answer: Explained | null
  readonly fault: string | null
}

/** The question that a decision has answered; its path is not known. */
export function formOf(one: Decision): ExplainForm {
  const from = `${one.tenant}/${one.agent_id}`
  if (one.event === 'delegation') {
    const chain = (one.hop ?? 1) > 1 ? 'yes' : 'no'
    const method = one.grpc_method ?? ''
    return { plane: 'delegation', from, to: agent(one.callee), method, path: '', chain }
  }
  const host = one.destination_host ?? ''
  const to = `${host.includes(':') ? `[${host}]` : host}:${one.destination_port ?? 443}`
  const method = one.method === 'CONNECT' ? '' : (one.method ?? '')
  return { plane: 'egress', from, to, method, path: '', chain: one.root_id === null ? 'no' : 'yes' }
}

/** As POST /api/explain takes it. */
export function questionOf({ plane, from, to, method, path, chain }: ExplainForm): object {
  const given = (key: string, value: string) => (value === '' ? {} : { [key]: value })
  const within = { within_chain: chain === 'yes' }
  return plane === 'delegation'
    ? { plane, from, to, ...given('method', method), ...within }
    : { plane, agent: from, to, ...given('method', method), ...given('path', path), ...within }
}

export function explainPage(
  { form, answer, fault }: ExplainState,
  set: (form: ExplainForm) => void,
  ask: () => void,
): TemplateResult {
  const put = (key: keyof ExplainForm) => (value: string) => set({ ...form, [key]: value })
  const egress = form.plane === 'egress'
  const submit = (event: Event) => {
    event.preventDefault()
    ask()
  }
  return html`
    <p>Asks the policy that is in force, as <code>mesh-gateway ${egress ? 'policy explain' : 'explain'}</code> does.</p>
    <form class="filters" aria-label="Question" @submit=${submit}>
      ${choice('plane', 'What', form.plane, PLANES, put('plane'))}
      ${field('from', 'Agent', form.from, put('from'), { hint: 'acme/planner' })}
      ${field('to', egress ? 'Host and port' : 'Callee', form.to, put('to'), {
        hint: egress ? 'api.example.com:443' : 'acme/researcher',
      })}
      ${field('method', 'Method', form.method, put('method'), {
        hint: egress ? 'GET; empty: a tunnel' : 'empty: Delegate',
      })}
      ${egress ? field('path', 'Path', form.path, put('path'), { hint: '/repos' }) : ''}
      ${choice(
        'chain',
        'Within a chain',
        form.chain,
        [
          ['no', 'no'],
          ['yes', 'yes'],
        ],
        put('chain'),
      )}
      <p class="field"><button type="submit">Explain</button></p>
    </form>
    <div role="status">
      ${fault === null ? '' : html`<p class="bad">${fault}</p>`}
      ${answer === null ? '' : answerOf(answer)}
    </div>`
}

const PLANES = [
  ['delegation', 'a call to an agent'],
  ['egress', 'a request to a host'],
] as const

function answerOf(answer: Explained): TemplateResult {
  const word = answer.action === 'deny' ? 'refused' : 'allowed'
  const limits = Object.entries(answer.limits).filter(([, value]) => value !== null)
  return html`<h2>${state(word)}${answer.action === 'audit' ? ' by audit mode; enforce would refuse' : ''}</h2>
    ${facts('Answer', [
      ...(answer.code === null
        ? []
        : [['reason', `${answer.code}: ${answer.reason ?? ''}`] as const]),
      ['rule', answer.rule === null ? 'none matches' : name(answer.rule)],
      ...(answer.file === null ? [] : [['file', name(answer.file)] as const]),
      ['mode', answer.mode],
      ...(answer.hint === null ? [] : [['what to do', answer.hint] as const]),
      ...(limits.length === 0
        ? []
        : [['limits', limits.map(([key, value]) => `${key} ${value}`).join(', ')] as const]),
    ])}`
}
