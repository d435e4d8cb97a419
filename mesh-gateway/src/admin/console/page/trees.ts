/** Trees of delegations: which run, how they ended, and where the time of one goes. */
import { html, svg, type TemplateResult } from 'lit-html'
import { state, table } from './parts.ts'
import type { Tree, TreeFacts, TreeNode, Trees } from './shapes.ts'
import { clock, count, duration, name } from './words.ts'

export function treesPage({ trees, older }: Trees): TemplateResult {
  const runs = (one: TreeFacts) => Number((one.states.running ?? 0) > 0)
  const sorted = trees.toSorted((a, b) => runs(b) - runs(a))
  return html`
    ${table(
      'Trees of delegations, those that run first',
      ['tree', 'state', 'by', 'began', 'for', 'delegations'],
      sorted.map((tree) => [
        html`<a href="#trees/${tree.root_id}">${tree.root_id}</a>`,
        state(wordOf(tree)),
        name(tree.origin),
        clock(tree.began),
        duration(tree.duration_ms),
        countsOf(tree),
      ]),
      'no delegation is remembered',
    )}
    ${older ? html`<p>Older trees are in the audit log: <code>mesh-gateway trees</code> draws them.</p>` : ''}`
}

export function treePage(tree: Tree): TemplateResult {
  const began = Date.parse(tree.began)
  return html`
    <p>${state(wordOf(tree))} begun by ${name(tree.origin)} at ${clock(tree.began)},
      ${duration(tree.duration_ms)}, ${countsOf(tree)}. <a href="#trees">All trees</a></p>
    ${table(
      'Where the time goes',
      ['delegation', 'state', 'after', 'for', 'time'],
      tree.nodes.map((node) => [
        html`<span class="depth">${'│ '.repeat(node.depth)}</span>${name(node.caller)} → ${name(node.callee)}`,
        html`${state(node.state)} ${node.code === null ? '' : html`<code>${node.code}</code>`}
          ${node.times > 1 ? `${count(node.times)} times` : ''}`,
        duration(Math.max(0, Date.parse(node.began) - began)),
        duration(node.duration_ms),
        bar(node, began, tree.duration_ms),
      ]),
    )}
    ${tree.left_out > 0 ? html`<p>${count(tree.left_out)} calls are left out.</p>` : ''}`
}

const BAR = 240

function bar(
  { began, duration_ms: durationMs, state: word }: TreeNode,
  rootMs: number,
  wholeMs: number,
) {
  const scale = BAR / Math.max(1, wholeMs)
  const x = Math.min(BAR - 2, Math.max(0, (Date.parse(began) - rootMs) * scale))
  const width = Math.max(2, Math.min(BAR - x, durationMs * scale))
  return html`<svg class="bar" width=${BAR} height="14" aria-hidden="true">
    ${svg`<rect class="whole" width=${BAR} height="14"></rect>`}
    ${svg`<rect class=${word} x=${x} width=${width} height="14"></rect>`}
  </svg>`
}

function wordOf({ states }: TreeFacts): string {
  const order = ['running', 'refused', 'cut', 'canceled', 'unknown']
  return order.find((word) => (states[word] ?? 0) > 0) ?? 'done'
}

function countsOf({ delegations, states }: TreeFacts): string {
  const told = ['running', 'refused', 'cut', 'canceled'].flatMap((word) =>
    states[word] === undefined ? [] : [`${count(states[word])} ${word}`],
  )
  return [`${count(delegations)} delegation${delegations === 1 ? '' : 's'}`, ...told].join(', ')
}
