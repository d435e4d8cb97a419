/** Draws a placed mesh as SVG. */
import { html, svg, type TemplateResult } from 'lit-html'
import type { Layout, Line, Placed } from './lay-out.ts'
import { name } from './words.ts'

const WIDTH = 200
const HEIGHT = 34
const GAP = 70
const BOX_HEIGHT = 24
const MOST_CHARS = 23

export function drawMesh({ nodes, lines, columns, rows }: Layout): TemplateResult {
  if (nodes.length === 0) return html`<p class="empty">no call is remembered</p>`
  const width = columns * (WIDTH + GAP) - GAP + 4
  const height = rows * HEIGHT + 4
  const words = `${nodes.length} agents and hosts, ${lines.length} pairs; the table below has the same`
  return html`<div class="scroll" role="region" aria-label="Picture of the mesh" tabindex="0">
    <svg class="mesh" role="img" aria-label=${words} width=${width} height=${height}
      viewBox="-2 -2 ${width} ${height}">
      ${lines.map(drawLine)} ${nodes.map(drawNode)}
    </svg>
  </div>`
}

function drawLine({ from, to, edge }: Line) {
  const [x1, y1] = [left(from) + WIDTH, middle(from)]
  const [x2, y2] = [left(to), middle(to)]
  const bend = Math.max(40, Math.abs(x2 - x1) / 2)
  const path = `M ${x1} ${y1} C ${x1 + bend} ${y1}, ${x2 - bend} ${y2}, ${x2} ${y2}`
  const kind = edge.refused > 0 ? 'refused' : edge.open > 0 ? 'open' : 'allowed'
  const title = `${name(edge.from)} to ${name(edge.to)}: ${edge.allowed} allowed, ${edge.refused} refused`
  return svg`<path class="line ${kind}" d=${path}><title>${title}</title></path>`
}

function drawNode(node: Placed) {
  const text = name(node.name)
  const shown = text.length > MOST_CHARS ? `${text.slice(0, MOST_CHARS - 1)}…` : text
  return svg`<g class="node ${node.kind}">
    <rect x=${left(node)} y=${node.row * HEIGHT} width=${WIDTH} height=${BOX_HEIGHT} rx="5"></rect>
    <text x=${left(node) + 8} y=${node.row * HEIGHT + 17}>${shown}</text>
    <title>${text}</title>
  </g>`
}

function left({ column }: Placed): number {
  return column * (WIDTH + GAP)
}

function middle({ row }: Placed): number {
  return row * HEIGHT + BOX_HEIGHT / 2
}
