/** Runs a candidate policy over the latest decisions, and shows what it would change. */
import { html, type TemplateResult } from 'lit-html'
import type { PolicyFault } from '../../../policy/read/fault-shape.ts'
import type { Changed, ReplayFacts } from '../../../recorded/replay-shapes.ts'
import { facts, field, table } from './parts.ts'
import { count, name } from './words.ts'

export interface ReplayForm {
  readonly file: string
  readonly text: string
}

export interface ReplayState {
  readonly form: ReplayForm
  readonly answer: ReplayFacts | { readonly faults: readonly PolicyFault[] } | null
  readonly fault: string | null
  readonly busy: boolean
}

export function replayPage(
  { form, answer, fault, busy }: ReplayState,
  set: (form: ReplayForm) => void,
  run: () => void,
): TemplateResult {
  const typed = (event: Event) => {
    if (event.target instanceof HTMLTextAreaElement) set({ ...form, text: event.target.value })
  }
  const submit = (event: Event) => {
    event.preventDefault()
    run()
  }
  return html`
    <p>Runs one candidate file over the decisions that this gateway remembers, as
      <code>mesh-gateway policy replay</code> does over an audit log. Nothing is changed: the policy in force stays.</p>
    <form aria-label="Candidate" @submit=${submit}>
      ${field('file', 'File', form.file, (file) => set({ ...form, file }), { hint: 'acme.json' })}
      <p class="field wide">
        <label for="text">Its text</label>
        <textarea id="text" name="text" rows="14" spellcheck="false" .value=${form.text} @input=${typed}></textarea>
      </p>
      <p class="field"><button type="submit" ?disabled=${busy}>${busy ? 'Runs…' : 'Replay'}</button></p>
    </form>
    <div role="status">
      ${fault === null ? '' : html`<p class="bad">${fault}</p>`}
      ${answer === null ? '' : 'faults' in answer ? faultsOf(answer.faults) : differences(answer)}
    </div>`
}

function faultsOf(faults: readonly PolicyFault[]): TemplateResult {
  return table(
    'Faults of the candidate',
    ['file', 'line', 'place', 'fault'],
    faults.map((one) => [
      name(one.file),
      one.line ?? '',
      name(one.pointer || '/'),
      name(one.message),
    ]),
  )
}

function differences(answer: ReplayFacts): TemplateResult {
  const { newly_refused: refused, newly_allowed: allowed } = answer
  return html`
    ${facts('Differences', [
      [
        'decisions',
        `${count(answer.records)}${answer.since === null ? '' : `, since ${answer.since}`}`,
      ],
      ['decided as before', count(answer.same)],
      ['newly refused', refused === 0 ? '0' : html`<span class="bad">${count(refused)}</span>`],
      ['newly allowed', count(allowed)],
      ['by audit mode alone', count(answer.by_audit_mode)],
    ])}
    ${changes('Newly refused', answer.examples.newly_refused)}
    ${changes('Newly allowed', answer.examples.newly_allowed)}`
}

function changes(caption: string, changed: readonly Changed[]): TemplateResult {
  return table(
    caption,
    ['agent', 'what', 'times', 'reason', 'rule'],
    changed.map((one) => [
      name(one.agent),
      name(one.what),
      count(one.count),
      one.code ?? '',
      one.rule === null ? '' : name(one.rule),
    ]),
    'none',
  )
}
