/**
 * Counts the decisions on requests and calls, by result. The latest trace of each series is its exemplar. Each refusal
 * that a plane can make has a series from the start: a counter that is born at 20 has an increase of 0, and an alert
 * misses the first burst.
 */
import { ERRORS } from '@clawmesh/proto'
import { Counter, type Registry } from 'prom-client'
import type { Exemplar } from './metrics-format.ts'
import type { Metrics, Plane } from './metrics-port.ts'

/** Bounds the labels, in case a plane passes an unknown reason. Beside the series that are there from the start. */
const MAX_SERIES = 1000

/** The codes with which each plane refuses. */
const REFUSALS: Readonly<Record<Plane, RegExp>> = Object.freeze({
  delegation:
    /^MESH_(?:(?:IDENTITY|CHAIN|REVOCATION|RATE|LIMIT|TOKEN|ROUTE|MCP)_|POLICY_(?!INVALID$)|PEER_PORT_REFUSED$|GATEWAY_(?:DRAINING|OVERLOADED|NOT_READY|INTERNAL)$)/,
  egress:
    /^MESH_(?:(?:IDENTITY|CHAIN|REVOCATION|RATE|LIMIT|TOKEN|ACCOUNT|EGRESS)_|POLICY_(?!INVALID$)|GATEWAY_(?:DRAINING|OVERLOADED|NOT_READY|INTERNAL)$)/,
})
/** The codes that audit mode lets through. */
const AUDITED = /^MESH_POLICY_(?!INVALID$)/

interface Series {
  readonly labels: { readonly plane: Plane; readonly action: string; readonly reason: string }
  value: number
  exemplar: Exemplar | null
}

export function createDecisionMetrics(registry: Registry): Metrics['decision'] {
  const all = new Map<string, Series>()
  let most = Number.POSITIVE_INFINITY
  class Decisions extends Counter {
    override async get() {
      const values = [...all.values()].map(({ labels, value, exemplar }) => ({
        labels: { ...labels },
        value,
        ...(exemplar === null ? {} : { exemplar }),
      }))
      return { ...(await super.get()), values }
    }
  }
  new Decisions({
    name: 'clawmesh_decisions_total',
    help: 'Requests and calls that ended, by what was decided and why',
    labelNames: ['plane', 'action', 'reason'],
    registers: [registry],
  })
  const seriesOf = (plane: Plane, action: string, reason: string): Series => {
    const key = `${plane}|${action}|${reason}`
    const known = all.get(key)
    if (known !== undefined) return known
    if (all.size >= most && reason !== 'other') return seriesOf(plane, action, 'other')
    const series = { labels: { plane, action, reason }, value: 0, exemplar: null }
    all.set(key, series)
    return series
  }
  for (const plane of ['egress', 'delegation'] as const)
    for (const code of Object.keys(ERRORS)) {
      if (REFUSALS[plane].test(code)) seriesOf(plane, 'deny', code)
      if (AUDITED.test(code)) seriesOf(plane, 'audit', code)
    }
  most = all.size + MAX_SERIES
  return (plane, action, reason, traceId = null) => {
    const series = seriesOf(plane, action, reason)
    series.value += 1
    if (traceId !== null) series.exemplar = { traceId, value: 1, atSeconds: Date.now() / 1000 }
  }
}
