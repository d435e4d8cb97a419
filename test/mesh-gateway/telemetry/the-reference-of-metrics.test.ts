/** docs/reference/metrics.md has each metric that a gateway exposes, as it is, and no other; and each alert of the rules. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import type { Registry } from 'prom-client'
import { createMetrics } from '../../../mesh-gateway/src/telemetry/create-metrics.ts'
import { createSupervisorMetrics } from '../../../mesh-gateway/src/workers/supervisor-metrics.ts'

interface Row {
  readonly kind: string
  readonly labels: readonly string[]
}

const read = (path: string) => readFile(new URL(`../../../${path}`, import.meta.url), 'utf8')

describe('the reference of metrics', () => {
  let page: string
  before(async () => {
    page = await read('docs/reference/metrics.md')
  })

  it('has each metric of a gateway and its supervisor, with its kind and labels, and no other', async () => {
    const gateway = createMetrics()
    const supervisor = createSupervisorMetrics()
    try {
      const exposed = new Map([
        ...(await exposedBy(gateway.registry)),
        ...(await exposedBy(supervisor.registry)),
      ])
      assert.ok(exposed.size > 20)
      assert.deepEqual(sorted(metricsOf(page)), sorted(exposed))
    } finally {
      gateway.close()
      supervisor.close()
    }
  })

  it('has each row once', () => {
    const names = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
    assert.deepEqual(names, [...new Set(names)])
  })

  it('has each alert of the rules, with its severity, and no other', async () => {
    const rules = await read('deploy/prometheus/rules.yml')
    const inRules = [...rules.matchAll(/^ {6}- alert: (\w+)$[\s\S]*?^ {10}severity: (\w+)$/gm)]
    const inPage = [...page.matchAll(/^\| `(Clawmesh\w+)` \|.*\| (\w+) \|$/gm)]
    const facts = (found: readonly RegExpExecArray[]) =>
      found.map(([, alert, severity]) => `${alert} ${severity}`)
    assert.equal(inRules.length, rules.match(/- alert:/g)?.length)
    assert.deepEqual(facts(inPage), facts(inRules))
  })

  it('has each metric that a rule asks for, with those labels', async () => {
    const rules = await read('deploy/prometheus/rules.yml')
    const known = metricsOf(page)
    const asked = [...rules.matchAll(/\b((?:clawmesh|process)_\w+)(?:\{([^}]*)\})?/g)]
    assert.ok(asked.length > 10)
    for (const [, name = '', selector = ''] of asked) {
      const row = known.get(name)
      assert.ok(row, `${name} is no metric`)
      // Prometheus adds the job by itself
      for (const [, label = ''] of selector.matchAll(/(\w+)\s*[=!]/g))
        assert.ok(label === 'job' || row.labels.includes(label), `${name} has no label ${label}`)
    }
  })
})

function metricsOf(page: string): Map<string, Row> {
  const rows = page.matchAll(/^\| `([a-z]\w+)` \| (\w+) \| ([\w, ]*) ?\|/gm)
  return new Map(
    [...rows].map(([, name = '', kind = '', labels = '']) => [
      name,
      {
        kind,
        labels: labels
          .split(/, */)
          .map((each) => each.trim())
          .filter(Boolean)
          .sort(),
      },
    ]),
  )
}

/** Labels from both the declaration, since a metric may have no series yet, and the series. */
async function exposedBy(registry: Registry): Promise<Map<string, Row>> {
  const declared = new Map(
    registry.getMetricsAsArray().map((metric): [string, readonly unknown[]] => {
      const names: unknown = 'labelNames' in metric ? metric.labelNames : []
      return [metric.name, Array.isArray(names) ? names : []]
    }),
  )
  const metrics = await registry.getMetricsAsJSON()
  return new Map(
    metrics.map(({ name, type, values }) => {
      const inSeries = values.flatMap(({ labels }) => Object.keys(labels))
      const labels = [...new Set([...(declared.get(name) ?? []).map(String), ...inSeries])]
      return [name, { kind: String(type), labels: labels.filter((one) => one !== 'le').sort() }]
    }),
  )
}

function sorted(rows: ReadonlyMap<string, Row>): [string, Row][] {
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1))
}
