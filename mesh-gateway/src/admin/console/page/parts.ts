/** Parts of pages: tables that scroll by themselves, filters, and words for states. */
import { html, type TemplateResult } from 'lit-html'
import { count } from './words.ts'

export type Cell = TemplateResult | string | number

/** The most rows that a page shows: the rest is found by a filter. */
export const MOST_ROWS = 200

/** @param caption says what is in it, for those who hear the page too */
export function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  empty = 'nothing yet',
): TemplateResult {
  if (rows.length === 0) return html`<p class="empty">${caption}: ${empty}</p>`
  const shown = rows.slice(0, MOST_ROWS)
  const more = rows.length - shown.length
  return html`<div class="scroll" role="region" aria-label=${caption} tabindex="0">
      <table>
        <caption>${caption}</caption>
        <thead><tr>${head.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead>
        <tbody>${shown.map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody>
      </table>
    </div>
    ${more > 0 ? html`<p>and ${count(more)} more: narrow the filter</p>` : ''}`
}

export function facts(caption: string, rows: readonly (readonly [string, Cell])[]): TemplateResult {
  return html`<dl aria-label=${caption}>
    ${rows.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}
  </dl>`
}

/** Good, bad or neither: told by a word as well as by its colour. */
export function state(word: string): TemplateResult {
  const bad = ['refused', 'cut', 'not ready', 'degraded', 'avoided', 'ended']
  const kind = bad.includes(word)
    ? 'bad'
    : word === 'running' || word === 'ready'
      ? 'good'
      : 'plain'
  return html`<span class="state ${kind}">${word}</span>`
}

export function field(
  id: string,
  label: string,
  value: string,
  onInput: (value: string) => void,
  more: { readonly hint?: string } = {},
): TemplateResult {
  const input = (event: Event) => {
    if (event.target instanceof HTMLInputElement) onInput(event.target.value)
  }
  return html`<p class="field">
    <label for=${id}>${label}</label>
    <input id=${id} name=${id} .value=${value} @input=${input} autocomplete="off" spellcheck="false"
      placeholder=${more.hint ?? ''}>
  </p>`
}

export function choice(
  id: string,
  label: string,
  value: string,
  values: readonly (readonly [string, string])[],
  onChange: (value: string) => void,
): TemplateResult {
  const change = (event: Event) => {
    if (event.target instanceof HTMLSelectElement) onChange(event.target.value)
  }
  return html`<p class="field">
    <label for=${id}>${label}</label>
    <select id=${id} name=${id} @change=${change}>
      ${values.map(([key, words]) => html`<option value=${key} ?selected=${key === value}>${words}</option>`)}
    </select>
  </p>`
}
