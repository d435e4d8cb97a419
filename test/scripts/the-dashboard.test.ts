/** deploy/grafana/clawmesh.json is what its generator makes, and asks for metrics that exist, by labels that exist. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { DASHBOARD_FILE, makeDashboard } from '../../scripts/dashboard/dashboard.ts'
import { metricsIn, queriesOf } from '../../scripts/dashboard/queries.ts'

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

/** Name to labels, from a page of the reference. */
async function reference(): Promise<Map<string, readonly string[]>> {
  const page = await read('docs/reference/metrics.md')
  const rows = page.matchAll(/^\| `([a-z]\w+)` \| (\w+) \| ([\w, ]*) ?\|/gm)
  return new Map(
    [...rows].flatMap(([, name = '', kind, list = '']) => {
      const labels = list.split(',').map((label) => label.trim())
      const parts = kind === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
      return parts.map((part) => [
        `${name}${part}`,
        part === '_bucket' ? [...labels, 'le'] : labels,
      ])
    }),
  )
}

describe('the dashboard for Grafana', () => {
  it('is what its generator makes', async () => {
    const file: unknown = JSON.parse(await read(DASHBOARD_FILE))
    const made: unknown = JSON.parse(JSON.stringify(makeDashboard()))
    assert.deepEqual(file, made, 'run npm run docs')
  })

  it('has no metric and no label that the reference of metrics lacks, and each metric that it has', async () => {
    const known = await reference()
    assert.ok(known.size > 30)
    const used = new Set<string>()
    for (const { expr, panel } of queriesOf(makeDashboard()))
      for (const { name, labels } of metricsIn(expr)) {
        if (name.startsWith('openclaw_')) continue
        const has = known.get(name)
        assert.ok(has, `${panel}: ${name} is not in the reference`)
        for (const label of labels)
          assert.ok(
            has.includes(label) || ['job', 'instance'].includes(label),
            `${panel}: ${name} has no label ${label}`,
          )
        used.add(name.replace(/_bucket$/, ''))
      }
    const families = [...known.keys()].filter((name) => !/_(?:bucket|sum|count)$/.test(name))
    assert.deepEqual(
      families.filter((name) => !used.has(name)),
      [],
    )
  })

  it('shows both planes and OpenClaw, with exemplars where a trace explains a figure', () => {
    const queries = queriesOf(makeDashboard())
    for (const part of ['plane="egress"', 'plane="delegation"', 'openclaw_tool_execution'])
      assert.ok(queries.some(({ expr }) => expr.includes(part)))
    const exemplars = queries.filter(({ exemplar }) => exemplar)
    assert.ok(exemplars.length >= 6)
    for (const { expr } of exemplars)
      assert.match(expr, /clawmesh_(?:request_duration_seconds|decisions_total)/)
  })

  it('can be linked to by panel, and leaves the choice of a data source to its reader', () => {
    const { panels = [] } = makeDashboard()
    const ids = panels.map(({ id }) => id)
    assert.deepEqual([...new Set(ids)], ids)
    for (const panel of panels)
      if ('datasource' in panel && panel.type !== 'row')
        assert.deepEqual(panel.datasource, { type: 'prometheus', uid: '$datasource' })
  })

  it('a metric in a query is found with its labels, and functions and keywords are not', () => {
    assert.deepEqual(
      metricsIn(
        'histogram_quantile(0.95, sum by (le, plane) (rate(a_seconds_bucket{job=~"$job", x!="y{z=1}"}[5m]))) - time()',
      ),
      [{ name: 'a_seconds_bucket', labels: ['job', 'x'] }],
    )
    assert.deepEqual(metricsIn('sum(b_total{c="d"} - min_over_time(b_total[75s])) > bool 5'), [
      { name: 'b_total', labels: ['c'] },
      { name: 'b_total', labels: [] },
    ])
  })
})
