/** The status page: an overview for the operator. Plain HTML, without external resources. */

const REFRESH_SECONDS = 10

/** A reason why the gateway does not work. */
export interface Missing {
  /** `identity`, `policy`, `keys`, `audit`, `draining`. */
  readonly what: string
  readonly reason: string
}

export interface StatusRow {
  readonly name: string
  readonly value: string
}

export interface StatusState {
  readonly missing: readonly Missing[]
  readonly degraded: readonly Missing[]
  /** Whether there is a console to lead to. */
  readonly console: boolean
}

export function renderStatusPage(
  rows: readonly StatusRow[],
  { missing, degraded, console }: StatusState,
): string {
  const listed = (list: readonly Missing[]) =>
    list.length === 0
      ? ''
      : `<ul class="bad">${list
          .map((one) => `<li>${escapeHtml(one.what)}: ${escapeHtml(one.reason)}</li>`)
          .join('')}</ul>`
  const state = missing.length > 0 ? 'not ready' : degraded.length > 0 ? 'degraded' : 'ready'
  const color = state === 'ready' ? 'good' : 'bad'
  // the title shows a fault even in a background tab
  const title = state === 'ready' ? '' : `${state}: `
  const table = rows
    .map((row) => `<tr><th>${escapeHtml(row.name)}</th><td>${escapeHtml(row.value)}</td></tr>`)
    .join('\n')
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title}mesh-gateway</title>
<meta http-equiv="refresh" content="${REFRESH_SECONDS}"><style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem }
th { text-align: left; padding-right: 1.5rem; font-weight: 500; vertical-align: top }
td { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
.good { color: #176f2c } .bad { color: #a11 }
</style></head><body>
<h1>mesh-gateway</h1>
<p class="${color}">${state}</p>
${listed(missing)}${listed(degraded)}
<table>
${table}
</table>
<p>${console ? '<a href="/console/">console</a> · ' : ''}<a href="/metrics">/metrics</a> · <a href="/health">/health</a> · <a href="/ready">/ready</a></p>
</body></html>
`
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
