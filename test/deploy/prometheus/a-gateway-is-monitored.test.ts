/** Debian's Prometheus and Alertmanager, with the files of deploy/, on a real gateway: alerts, exemplars, the dashboard. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { makeDashboard } from '../../../scripts/dashboard/dashboard.ts'
import { queriesOf } from '../../../scripts/dashboard/queries.ts'
import { isRecord } from '../../../scripts/dev/message.ts'
import { describeClosing } from '../../support/closes-everything.ts'
import { needProgram } from '../../support/need-program.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type MonitoredMesh, startMonitoredMesh } from './monitored-mesh.ts'

const DENIED = 'sum(clawmesh_decisions_total{job="clawmesh", action="deny"})'
const RECENT = 'sum($ - min_over_time($[75s]))'
const JOBS = ['clawmesh', 'clawmesh-remote', 'openclaw']

describeClosing('a gateway is monitored', () => {
  let world: MonitoredMesh
  before(async function () {
    for (const program of ['prometheus', 'prometheus-alertmanager', 'redis-server'])
      needProgram(this, program)
    needProgram(this, 'nginx', '-v')
    needProgram(this, 'openssl', 'version')
    world = await startMonitoredMesh()
  })
  after(() => world?.close())

  const numberOf = async (expr: string) =>
    (await world.prometheus.query(expr))[0]?.samples[0]?.[1] ?? Number.NaN
  const timesOf = async (expr: string) =>
    (await world.prometheus.query(expr)).flatMap(({ samples }) => samples.map(([time]) => time))
  const denialAlerts = () =>
    world.webhook.alerts.filter(
      ({ labels }) =>
        isRecord(labels) && labels.alertname === 'ClawmeshDenials' && labels.job === 'clawmesh',
    )
  const evaluations = () => numberOf('count_over_time(test_evaluations[10m])')
  /** Five denials, of which the webhook must not be told, and one more. Null: too late for them to be of one minute. */
  const sixDenials = async () => {
    const recent = RECENT.replaceAll('$', 'clawmesh_decisions_total{job="clawmesh", action="deny"}')
    await waitFor('no denial of late', async () => (await numberOf(recent)) === 0, {
      withinMs: 120_000,
    })
    const before = await numberOf(DENIED)
    const beganMs = performance.now()
    for (let i = 0; i < 5; i += 1) await world.refused()
    await waitFor('five denials', async () => (await numberOf(DENIED)) === before + 5)
    const seenAt = await evaluations()
    await waitFor('three more evaluations', async () => (await evaluations()) >= seenAt + 3)
    assert.deepEqual(denialAlerts(), [])
    await world.refused()
    const refusedMs = Date.now()
    const alert = await waitFor('the webhook', () => denialAlerts()[0]).catch((error) => {
      if (performance.now() - beganMs < 60_000) throw error
      return null
    })
    return alert === null ? null : { alert, refusedMs, counted: before + 6 }
  }

  it('is scraped on loopback, and through nginx by TLS and a password, and OpenClaw by its token', async () => {
    for (const job of JOBS)
      await waitFor(`${job} to be scraped`, async () => (await numberOf(`up{job="${job}"}`)) === 1)
    assert.equal(await numberOf('count(clawmesh_build_info)'), 2)
  })

  it('through nginx shows metrics to those who know the password, and nothing else of the admin port', async () => {
    const ca = await readFile(join(world.mesh.dir, 'gateway', 'ca.crt'), 'utf8')
    const [host = '', port = ''] = world.remote.split(':')
    const ask = (path: string, auth?: string) =>
      new Promise<number>((resolve, reject) => {
        const servername = `gateway.${world.mesh.trustDomain}`
        request(
          { host, port, path, ca, servername, agent: false, rejectUnauthorized: true, auth },
          (response) => {
            response.resume()
            resolve(response.statusCode ?? 0)
          },
        )
          .once('error', reject)
          .end()
      })
    assert.equal(await ask('/metrics'), 401)
    assert.equal(await ask('/metrics', 'prometheus:guessed'), 401)
    assert.equal(await ask('/', 'prometheus:guessed'), 404)
    assert.equal(await ask('/ready'), 404)
  })

  it('tells a webhook of six denials within two scrapes and one evaluation, and not of five', async () => {
    let burst = await sixDenials()
    // on a machine that stood still the first of them are more than a minute ago
    for (let tries = 1; burst === null && tries < 3; tries += 1) burst = await sixDenials()
    assert.ok(burst, 'the webhook was told of none of three bursts')
    const { alert, refusedMs, counted } = burst
    assert.equal(alert.status, 'firing')
    const { annotations } = alert
    assert.ok(isRecord(annotations))
    assert.match(
      String(annotations.description),
      /^6 were refused.* 6 x MESH_POLICY_NOT_ALLOWED \(egress\)/,
    )

    const firedAt = Date.parse(String(alert.startsAt)) / 1000
    const scrapes = (await timesOf('up{job="clawmesh"}[5m]')).filter(
      (time) => time > refusedMs / 1000 && time <= firedAt,
    )
    assert.ok(scrapes.length <= 2, `${scrapes.length} scrapes`)
    // from the end of the scrape that saw it
    const [[sawAt = 0] = []] =
      (await world.prometheus.query(`${DENIED.replace(/^sum\(|\)$/g, '')}[5m]`))
        .find(({ labels, samples }) => labels.plane === 'egress' && samples.at(-1)?.[1] === counted)
        ?.samples.filter(([, value]) => value === counted) ?? []
    const took = await numberOf('max_over_time(scrape_duration_seconds{job="clawmesh"}[5m])')
    const judged = (await timesOf('test_evaluations[5m]')).filter(
      (time) => time > sawAt + took && time <= firedAt,
    )
    assert.ok(judged.length <= 1, `${judged.length} evaluations`)
    process.stdout.write(
      `      from the sixth denial to the webhook: ${alert.arrivedMs - refusedMs} ms, scraped and evaluated each second\n`,
    )
  })

  it('gives Prometheus exemplars, whose trace ids are those of the audit log', async () => {
    const traceId = 'abcdef0123456789'.repeat(2)
    await world.work(`00-${traceId}-00f067aa0ba902b7-01`)
    for (const metric of ['clawmesh_request_duration_seconds_bucket', 'clawmesh_decisions_total'])
      for (const plane of ['delegation', 'egress']) {
        const query = encodeURIComponent(`${metric}{plane="${plane}"}`)
        await waitFor(`an exemplar of ${metric}, ${plane}`, async () => {
          const now = Date.now() / 1000
          const found = await world.prometheus.api(
            `query_exemplars?query=${query}&start=${now - 600}&end=${now}`,
          )
          return JSON.stringify(found).includes(`"trace_id":"${traceId}"`)
        })
      }
    const lines = (await world.mesh.audit()).filter(({ trace_id }) => trace_id === traceId)
    assert.deepEqual(new Set(lines.map(({ event }) => event)), new Set(['delegation', 'egress']))
  })

  it('answers each query of the dashboard with data, and with the labels that its legend names', async () => {
    const file: unknown = JSON.parse(
      await readFile(new URL('../../../deploy/grafana/clawmesh.json', import.meta.url), 'utf8'),
    )
    assert.deepEqual(file, JSON.parse(JSON.stringify(makeDashboard())))
    await world.faults()
    // rates need two scrapes, and load between them
    for (let round = 0; round < 3; round += 1) {
      const before = await evaluations()
      await Promise.all([world.work(), world.work(), world.refused()])
      await waitFor('a scrape', async () => (await evaluations()) >= before + 2)
    }
    const queries = queriesOf(makeDashboard())
    assert.ok(queries.length > 50)
    const faults = await Promise.all(
      queries.map(async ({ panel, expr, legend }) => {
        const asked = expr
          .replaceAll('$__rate_interval', '2m')
          .replaceAll('$__range', '5m')
          .replaceAll(/\$(?:job|instance|openclaw)\b/g, '.+')
        assert.ok(!asked.includes('$'), asked)
        const series = await world.prometheus.query(asked)
        const withNumbers = series.filter(({ samples }) => Number.isFinite(samples[0]?.[1]))
        if (withNumbers.length === 0) return [`${panel}: no data: ${asked}`]
        return [...legend.matchAll(/\{\{(\w+)\}\}/g)].flatMap(([, label = '']) =>
          series.some(({ labels }) => label in labels) ? [] : [`${panel}: no ${label}: ${asked}`],
        )
      }),
    )
    assert.deepEqual(faults.flat(), [])
  })
})
