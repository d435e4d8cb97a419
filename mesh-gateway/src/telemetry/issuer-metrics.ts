/** Metrics of external token issuers, one series per configured issuer. */
import { Counter, Gauge, type Registry } from 'prom-client'

export interface IssuerMetrics {
  /** Reports that its keys were fetched, or could not be. */
  issuerKeys(issuer: string, ok: boolean): void
}

export function createIssuerMetrics(registry: Registry): IssuerMetrics {
  const registers = [registry]
  const up = new Gauge({
    name: 'clawmesh_token_issuer_up',
    help: '1 when the latest fetch of the keys of an issuer of tokens worked, 0 when it did not',
    labelNames: ['issuer'],
    aggregator: 'min',
    registers,
  })
  const fetches = new Counter({
    name: 'clawmesh_token_issuer_fetches_total',
    help: 'Fetches of the keys of an issuer of tokens, by result',
    labelNames: ['issuer', 'result'],
    registers,
  })
  return {
    issuerKeys(issuer, ok) {
      up.set({ issuer }, ok ? 1 : 0)
      fetches.inc({ issuer, result: ok ? 'ok' : 'failed' })
    },
  }
}
