import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { MeshError } from '@clawmesh/proto'
import {
  createMetrics,
  type MetricsHandle,
} from '../../../mesh-gateway/src/telemetry/create-metrics.ts'
import { metricsFormatFor } from '../../../mesh-gateway/src/telemetry/metrics-format.ts'
import { needProgram } from '../../support/need-program.ts'

describe('metrics', () => {
  let metrics: MetricsHandle
  beforeEach(() => {
    metrics = createMetrics()
  })
  afterEach(() => metrics.close())

  const line = async (start: string) =>
    (await metrics.text()).split('\n').find((one) => one.startsWith(start))

  it('count decisions by plane, action and reason, and do not count twice when scraped twice', async () => {
    metrics.decision('egress', 'deny', 'MESH_POLICY_DENIED')
    metrics.decision('egress', 'deny', 'MESH_POLICY_DENIED')
    metrics.decision('delegation', 'allow', 'none')
    const series =
      'clawmesh_decisions_total{plane="egress",action="deny",reason="MESH_POLICY_DENIED"}'
    assert.equal(await line(series), `${series} 2`)
    assert.equal(await line(series), `${series} 2`)
  })

  it('begin at 0 for each plane and each reason of a refusal, so that an alert sees the first burst', async () => {
    const born = (plane: string, action: string, reason: string) =>
      `clawmesh_decisions_total{plane="${plane}",action="${action}",reason="${reason}"}`
    for (const series of [
      born('egress', 'deny', 'MESH_POLICY_NOT_ALLOWED'),
      born('egress', 'deny', 'MESH_TOKEN_MISSING'),
      born('egress', 'deny', 'MESH_EGRESS_ADDRESS_REFUSED'),
      born('egress', 'audit', 'MESH_POLICY_NOT_ALLOWED'),
      born('delegation', 'deny', 'MESH_IDENTITY_REVOKED'),
      born('delegation', 'deny', 'MESH_CHAIN_LOOP_DETECTED'),
      born('delegation', 'deny', 'MESH_MCP_ORIGIN'),
      born('delegation', 'deny', 'MESH_PEER_PORT_REFUSED'),
      born('delegation', 'deny', 'MESH_LIMIT_CONCURRENCY'),
    ])
      assert.equal(await line(series), `${series} 0`)
    // what cannot be is not there
    for (const series of [
      born('delegation', 'deny', 'MESH_EGRESS_ECH'),
      born('egress', 'deny', 'MESH_TASK_FAILED'),
      born('egress', 'deny', 'MESH_PKI_EXISTS'),
    ])
      assert.equal(await line(series), undefined)
    metrics.decision('egress', 'deny', 'MESH_POLICY_NOT_ALLOWED')
    const counted = born('egress', 'deny', 'MESH_POLICY_NOT_ALLOWED')
    assert.equal(await line(counted), `${counted} 1`)
  })

  it('put each observation into every bucket that holds it', async () => {
    for (const seconds of [0.0005, 0.02, 100]) metrics.duration('delegation', seconds)
    const bucket = (le: string) =>
      `clawmesh_request_duration_seconds_bucket{plane="delegation",le="${le}"}`
    assert.equal(await line(bucket('0.001')), `${bucket('0.001')} 1`)
    assert.equal(await line(bucket('0.025')), `${bucket('0.025')} 2`)
    assert.equal(await line(bucket('60')), `${bucket('60')} 2`)
    assert.equal(await line(bucket('+Inf')), `${bucket('+Inf')} 3`)
    const count = 'clawmesh_request_duration_seconds_count{plane="delegation"}'
    assert.equal(await line(count), `${count} 3`)
    assert.match(
      (await line('clawmesh_request_duration_seconds_sum{plane="delegation"}')) ?? '',
      / 100\.02/,
    )
  })

  it('have every series that the reference names', async () => {
    metrics.active('egress', 1)
    metrics.active('egress', 1)
    metrics.active('egress', -1)
    metrics.tokenValidation(0.0001)
    metrics.dns('egress', 0.01)
    metrics.dial('egress', 0.01)
    metrics.reload('policy', true, 4)
    metrics.reload('policy', false, 4)
    metrics.certificateNotAfter(1_800_000_000)
    metrics.auditDropped()
    const text = await metrics.text()
    for (const expected of [
      'clawmesh_active{plane="egress"} 1',
      'clawmesh_token_validation_seconds_count 1',
      'clawmesh_dns_duration_seconds_count{plane="egress"} 1',
      'clawmesh_dial_duration_seconds_count{plane="egress"} 1',
      'clawmesh_reload_last_success{what="policy"} 0',
      'clawmesh_reload_generation{what="policy"} 4',
      'clawmesh_reloads_total{what="policy",result="ok"} 1',
      'clawmesh_certificate_not_after_seconds 1800000000',
      'clawmesh_audit_dropped_total 1',
      'clawmesh_event_loop_lag_seconds{quantile="0.99"}',
      'process_resident_memory_bytes ',
      'process_cpu_seconds_total ',
    ])
      assert.ok(text.includes(expected), expected)
  })

  it('name the version of the gateway and of Node', async () => {
    const { version } = JSON.parse(
      await readFile(new URL('../../../mesh-gateway/package.json', import.meta.url), 'utf8'),
    )
    assert.equal(
      await line('clawmesh_build_info'),
      `clawmesh_build_info{version="${version}",node="${process.versions.node}"} 1`,
    )
  })

  it('are as promtool wants metrics to be', async function () {
    needProgram(this, 'promtool')
    metrics.decision('egress', 'deny', 'MESH_POLICY_DENIED')
    metrics.connectionRefused('egress', 'tls')
    metrics.cut('egress', 'MESH_TOKEN_EXPIRED')
    metrics.reload('policy', true, 1)
    metrics.limitsStore(true)
    metrics.issuerKeys('https://issuer.test', true)
    metrics.brokenPolicy(['a "b".json'])
    metrics.revocations(1, 2)
    metrics.crlNextUpdate(1_800_000_000)
    metrics.certificateNotAfter(1_800_000_000)
    const found = spawnSync('promtool', ['check', 'metrics'], { input: await metrics.text() })
    assert.equal(`${found.stdout}${found.stderr}`, '')
    assert.equal(found.status, 0)
  })

  describe('as OpenMetrics', () => {
    const openLine = async (start: string) =>
      (await metrics.text('openmetrics')).split('\n').find((one) => one.startsWith(start))

    it('carry the latest trace of each bucket and of each decision', async () => {
      metrics.duration('egress', 0.02, 'a'.repeat(32))
      metrics.duration('egress', 0.021, 'b'.repeat(32))
      metrics.duration('egress', 0.9)
      metrics.decision('egress', 'deny', 'MESH_POLICY_DENIED', 'c'.repeat(32))
      const bucket = 'clawmesh_request_duration_seconds_bucket{plane="egress",le='
      assert.match(
        (await openLine(`${bucket}"0.025"`)) ?? '',
        /\} 2 # \{trace_id="b{32}"\} 0\.021 \d+\.\d{3}$/,
      )
      assert.equal(await openLine(`${bucket}"1.0"`), `${bucket}"1.0"} 3`)
      assert.match(
        (await openLine(
          'clawmesh_decisions_total{plane="egress",action="deny",reason="MESH_POLICY_DENIED"}',
        )) ?? '',
        /\} 1 # \{trace_id="c{32}"\} 1 \d+\.\d{3}$/,
      )
    })

    it('name a counter without its ending, end with EOF, and leave the other format as it is', async () => {
      metrics.auditDropped()
      const open = await metrics.text('openmetrics')
      assert.ok(open.includes('# TYPE clawmesh_audit_dropped counter\n'))
      assert.ok(open.includes('\nclawmesh_audit_dropped_total 1\n'))
      assert.ok(open.endsWith('\n# EOF\n'))
      const text = await metrics.text()
      assert.ok(text.includes('# TYPE clawmesh_audit_dropped_total counter\n'))
      assert.ok(!text.includes('# EOF'))
    })
  })

  it('are in the format that a scraper prefers', () => {
    const open = 'application/openmetrics-text; version=1.0.0'
    for (const accept of [
      open,
      `${open},text/plain;version=0.0.4;q=0.5,*/*;q=0.1`,
      'text/plain;q=0.5, application/openmetrics-text',
    ])
      assert.equal(metricsFormatFor(accept), 'openmetrics', accept)
    for (const accept of [
      undefined,
      '',
      '*/*',
      'text/plain;version=0.0.4',
      'application/openmetrics-text;q=0',
      'application/openmetrics-text;version=2.0.0',
      'application/openmetrics-text;q=0.3,text/plain;q=0.9',
      'application/openmetrics-text;q=nonsense',
    ])
      assert.equal(metricsFormatFor(accept), 'prometheus', accept)
  })

  it('tell which reloads failed last, and why', () => {
    metrics.reload('identity', true, 1)
    metrics.reload('keys', false, 3, new MeshError('MESH_KEYS_UNUSABLE', 'k.json is torn'))
    metrics.reload('crl', false, 3, new Error('secret words of the system'))
    assert.deepEqual(metrics.failedReloads(), [
      {
        what: 'keys',
        reason: 'the latest reload failed, the last good one is in force: k.json is torn',
      },
      { what: 'crl', reason: 'the latest reload failed, the last good one is in force' },
    ])
    metrics.reload('keys', true, 4)
    metrics.reload('crl', true, 4)
    assert.deepEqual(metrics.failedReloads(), [])
  })

  it('stay bounded when a reason is not', async () => {
    const seriesNow = async () =>
      (await metrics.text()).split('\n').filter((one) => one.startsWith('clawmesh_decisions_total'))
    const born = (await seriesNow()).length
    for (let i = 0; i < 5000; i += 1) metrics.decision('egress', 'deny', `reason ${i}`)
    const series = await seriesNow()
    assert.ok(series.length <= born + 1001)
    assert.ok(
      series.includes('clawmesh_decisions_total{plane="egress",action="deny",reason="other"} 4000'),
    )
  })

  it('of two gateways in one process do not mix', async () => {
    const other = createMetrics()
    other.auditDropped()
    other.close()
    assert.equal(await line('clawmesh_audit_dropped_total '), 'clawmesh_audit_dropped_total 0')
  })
})
