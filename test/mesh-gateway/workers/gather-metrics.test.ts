import assert from 'node:assert/strict'
import {
  createMetrics,
  type MetricsHandle,
} from '../../../mesh-gateway/src/telemetry/create-metrics.ts'
import { createMetricsGathering } from '../../../mesh-gateway/src/workers/gather-metrics.ts'
import { createSupervisorMetrics } from '../../../mesh-gateway/src/workers/supervisor-metrics.ts'

describe('the metrics of several workers', () => {
  let one: MetricsHandle
  let two: MetricsHandle
  const own = createSupervisorMetrics()
  beforeEach(() => {
    one = createMetrics()
    two = createMetrics()
  })
  afterEach(() => {
    one.close()
    two.close()
  })
  after(() => own.close())

  const jsonOf = (metrics: MetricsHandle) => metrics.registry.getMetricsAsJSON()
  const value = (text: string, series: string) => {
    const line = text.split('\n').find((each) => each.startsWith(`${series} `))
    return line === undefined ? null : Number(line.slice(series.length + 1))
  }

  it('keep the latest trace of each bucket', async () => {
    one.duration('egress', 0.002, 'a'.repeat(32))
    two.duration('egress', 0.002, 'b'.repeat(32))
    const answers = new Map([
      [one, await jsonOf(one)],
      [two, await jsonOf(two)],
    ])
    const gathered = await createMetricsGathering().text([], answers, 'openmetrics')
    assert.match(
      gathered,
      /_bucket\{plane="egress",le="0.0025"\} 2 # \{trace_id="[ab]{32}"\} 0\.002 /,
    )
    assert.ok(gathered.endsWith('# EOF\n'))
  })

  it('are sums, or the worst of all where a sum says nothing', async () => {
    one.decision('egress', 'allow', 'none')
    two.decision('egress', 'allow', 'none')
    two.decision('egress', 'deny', 'MESH_POLICY_NOT_ALLOWED')
    one.duration('egress', 0.002)
    two.duration('egress', 30)
    one.tokenValidation(1)
    one.active('egress', 1)
    two.active('egress', 1)
    for (const [metrics, ok, generation] of [
      [one, true, 7],
      [two, false, 6],
    ] as const)
      metrics.reload('policy', ok, generation)
    one.certificateNotAfter(2000)
    two.certificateNotAfter(1000)
    one.limitsStore(true)
    two.limitsStore(false)
    one.auditDropped()
    own.auditDropped()
    const text = await createMetricsGathering().text(
      await own.registry.getMetricsAsJSON(),
      new Map([
        [one, await jsonOf(one)],
        [two, await jsonOf(two)],
      ]),
    )
    const duration = (part: string) => `clawmesh_request_duration_seconds_${part}`
    const expected: Readonly<Record<string, number>> = {
      'clawmesh_decisions_total{plane="egress",action="allow",reason="none"}': 2,
      'clawmesh_decisions_total{plane="egress",action="deny",reason="MESH_POLICY_NOT_ALLOWED"}': 1,
      [duration('bucket{plane="egress",le="0.0025"}')]: 1,
      [duration('bucket{plane="egress",le="+Inf"}')]: 2,
      [duration('sum{plane="egress"}')]: 30.002,
      [duration('count{plane="egress"}')]: 2,
      clawmesh_token_validation_seconds_count: 1,
      'clawmesh_active{plane="egress"}': 2,
      'clawmesh_reload_last_success{what="policy"}': 0,
      'clawmesh_reload_generation{what="policy"}': 7,
      clawmesh_certificate_not_after_seconds: 1000,
      'clawmesh_limits_store_up{store="redis"}': 0,
      clawmesh_audit_dropped_total: 2,
    }
    const found = Object.keys(expected).map((series) => [series, value(text, series)])
    assert.deepEqual(Object.fromEntries(found), expected)
    // every metric stands there once
    const types = text.match(/^# TYPE \S+/gm) ?? []
    assert.equal(new Set(types).size, types.length)
  })

  it('never count back: not when a worker ends, does not answer, or ends while others are asked', async () => {
    const gathering = createMetricsGathering()
    const decisions = 'clawmesh_decisions_total{plane="egress",action="allow",reason="none"}'
    const active = 'clawmesh_active{plane="egress"}'
    const ask = async (...answers: readonly (readonly [MetricsHandle, boolean])[]) => {
      const told = new Map<object, Awaited<ReturnType<typeof jsonOf>> | null>()
      for (const [worker, answers_] of answers)
        told.set(worker, answers_ ? await jsonOf(worker) : null)
      const text = await gathering.text([], told)
      return [value(text, decisions), value(text, active)]
    }
    for (const metrics of [one, two]) {
      metrics.decision('egress', 'allow', 'none')
      metrics.active('egress', 1)
    }
    assert.deepEqual(await ask([one, true], [two, true]), [2, 2])
    assert.deepEqual(await ask([one, true], [two, false]), [2, 1])
    gathering.gone(two)
    assert.deepEqual(await ask([one, true]), [2, 1])
    // it had answered, and ended before the others had
    two.decision('egress', 'allow', 'none')
    assert.deepEqual(await ask([one, true], [two, true]), [2, 1])
    for (let i = 0; i < 5; i += 1) {
      const next = createMetrics()
      next.decision('egress', 'allow', 'none')
      assert.deepEqual(await ask([one, true], [next, true]), [3 + i, 1])
      gathering.gone(next)
      next.close()
      const both = await Promise.all([ask([one, true]), ask([one, true])])
      assert.deepEqual(both, [
        [3 + i, 1],
        [3 + i, 1],
      ])
    }
  })
})
