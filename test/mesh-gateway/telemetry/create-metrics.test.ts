import assert from 'node:assert/strict'
import {
  createMetrics,
  type MetricsHandle,
} from '../../../mesh-gateway/src/telemetry/create-metrics.ts'

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

  it('stay bounded when a reason is not', async () => {
    for (let i = 0; i < 5000; i += 1) metrics.decision('egress', 'deny', `reason ${i}`)
    const series = (await metrics.text())
      .split('\n')
      .filter((one) => one.startsWith('clawmesh_decisions_total'))
    assert.ok(series.length <= 1001)
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
