/**
 * The health port: /health and /ready alone, for probes that reach the gateway over a network, such as those of a
 * kubelet. Says nothing else, so it may be where the admin port must not be.
 */
import type { MaybePromise } from '../limits/limits.ts'
import type { Port } from '../net/port.ts'
import { createHttpPort, type HttpPortOptions, pathOf, refuseOther, sendJson } from './http-port.ts'
import type { Missing } from './status-page.ts'

export interface HealthPortOptions
  extends Pick<HttpPortOptions, 'listen' | 'connectionRefused' | 'log'> {
  /** Reasons why the gateway is not ready; empty when it is. They are for the admin port. */
  readonly missing: () => MaybePromise<readonly Missing[]>
}

const PATHS = ['/health', '/ready']

/** @throws MeshError MESH_CONFIG_PORT */
export function createHealthPort(options: HealthPortOptions): Promise<Port> {
  const { listen, connectionRefused, log, missing } = options
  return createHttpPort({
    ...{ name: 'health', listen, connectionRefused, log },
    async answer(request, response) {
      if (refuseOther(request, response, PATHS)) return
      if (pathOf(request) === '/health') sendJson(response, 200, { status: 'up' })
      else if ((await missing()).length === 0) sendJson(response, 200, { status: 'ready' })
      else sendJson(response, 503, { status: 'not ready' })
    },
  })
}
