import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { SETTINGS } from '../../../mesh-gateway/src/config/settings.ts'
import { createMetrics } from '../../../mesh-gateway/src/telemetry/create-metrics.ts'

const page = (name: string) =>
  readFile(new URL(`../../../docs/reference/${name}.md`, import.meta.url), 'utf8')

describe('the reference of the gateway', () => {
  it('has a row for every setting, and no other', async () => {
    const rows = (await page('configuration')).split('\n').filter((line) => /^\| `\w/.test(line))
    const expected = SETTINGS.map(
      ({ key, env, flag, live }) =>
        `| \`${key}\` | \`${env}\` | \`--${flag}\` | ${live ? 'yes' : 'no'} |`,
    )
    assert.deepEqual(
      rows.map((row) => row.split(' | ').slice(0, 4).join(' | ').concat(' |')),
      expected,
    )
  })

  it('has a row for every metric, and no other', async () => {
    const metrics = createMetrics()
    const text = await metrics.text()
    metrics.close()
    const exported = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(
      ([, name, kind]) => `${name} ${kind}`,
    )
    const rows = [...(await page('metrics')).matchAll(/^\| `(\w+)` \| (\w+) \|/gm)]
    assert.deepEqual(
      rows.map(([, name, kind]) => `${name} ${kind}`).toSorted(),
      exported.toSorted(),
    )
  })
})
