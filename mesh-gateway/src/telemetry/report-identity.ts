/** Keeps the metrics of the gateway's own certificate up to date while it is renewed. */
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import type { Metrics } from './metrics-port.ts'

export function reportIdentity(
  identity: Pick<IdentityStore, 'current' | 'onChange' | 'onReload'>,
  metrics: Pick<Metrics, 'certificateNotAfter' | 'reload'>,
): void {
  const reportEnd = () => metrics.certificateNotAfter(identity.current().notAfter.getTime() / 1000)
  reportEnd()
  metrics.reload('identity', true, identity.current().generation)
  identity.onChange(reportEnd)
  identity.onReload(({ ok, error }) =>
    metrics.reload('identity', ok, identity.current().generation, error),
  )
}
