/** What the dashboard and the tests of deploy take OpenClaw's metrics for, beside the page of the installed OpenClaw. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeDashboard } from '../../scripts/dashboard/dashboard.ts'
import { metricsIn, queriesOf } from '../../scripts/dashboard/queries.ts'
import { OPENCLAW_METRICS } from '../support/openclaw-metrics.ts'
import { installOpenClaw } from './install-openclaw.ts'

describe('the metrics of OpenClaw', () => {
  it('that the dashboard shows are those of the installed version, with their kinds and labels', async () => {
    const { dir } = await installOpenClaw()
    const page = await readFile(
      join(dir, 'node_modules/openclaw/docs/gateway/prometheus.md'),
      'utf8',
    )
    const rows = page.matchAll(/^\| `(openclaw_\w+)` +\| (\w+) +\| (.*?) +\|$/gm)
    const documented = new Map(
      [...rows].map(([, name = '', kind = '', labels = '']) => [
        name,
        { kind, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label).sort() },
      ]),
    )
    assert.ok(documented.size > 50)
    for (const [name, { kind, labels }] of Object.entries(OPENCLAW_METRICS))
      assert.deepEqual(documented.get(name), { kind, labels: Object.keys(labels).sort() }, name)
  })

  it('that the dashboard asks for are among them', () => {
    const families = queriesOf(makeDashboard())
      .flatMap(({ expr }) => metricsIn(expr))
      .filter(({ name }) => name.startsWith('openclaw_'))
    assert.ok(families.length > 10)
    for (const { name, labels } of families) {
      const family = OPENCLAW_METRICS[name.replace(/_bucket$/, '')]
      assert.ok(family, name)
      for (const label of labels)
        assert.ok(label === 'job' || label in family.labels, `${name} has no label ${label}`)
    }
  })
})
