/** Follows files with `followFiles` of the SDK, and reports each in the reload metrics. */
import { type Followed, type FollowOptions, followFiles } from '@clawmesh/agent-sdk/mesh'
import type { Metrics, Reloadable } from '../telemetry/metrics-port.ts'

export interface GatewayFollowOptions<T> extends FollowOptions<T> {
  readonly what: Reloadable
  readonly metrics: Pick<Metrics, 'reload'>
}

/** @throws as `followFiles` does */
export async function follow<T>(options: GatewayFollowOptions<T>): Promise<Followed<T>> {
  const { what, metrics } = options
  const followed = await followFiles(options)
  const report = (ok: boolean, error: unknown) =>
    metrics.reload(what, ok, followed.generation(), error)
  followed.onReload(({ ok, error }) => report(ok, error))
  report(true, null)
  return followed
}
