/** grpc.health.v1.Health: whether the agent and each of its services take calls. */

import { HEALTH_SERVICE } from '@clawmesh/proto'
import { serviceOf } from '@clawmesh/proto/wire'
import {
  Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import { definition } from '../wire/messages.ts'
import type { Service } from './delegation-service.ts'

interface Ask {
  service: string
}
interface Answer {
  status: 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN'
}
type Watcher = ServerWritableStream<Ask, Answer>

export interface HealthService extends Service {
  /** Says SERVING or NOT_SERVING from now on, also to the streams that watch. */
  setServing(serving: boolean): void
  /** Says NOT_SERVING for good, and ends the streams that watch. */
  stop(): void
}

/** @param services full names; the empty name, the agent as a whole, is always known. */
export function createHealthService(services: readonly string[]): HealthService {
  const known = new Set(['', ...services])
  const watchers = new Set<Watcher>()
  let serving = true
  let stopped = false
  const answer = (): Answer => ({ status: serving ? 'SERVING' : 'NOT_SERVING' })
  return {
    definition: serviceOf(definition, HEALTH_SERVICE),
    implementation: {
      Check(call: ServerUnaryCall<Ask, Answer>, callback: sendUnaryData<Answer>) {
        if (known.has(call.request.service)) callback(null, answer())
        else
          callback({ code: status.NOT_FOUND, details: 'no such service', metadata: new Metadata() })
      },
      Watch(call: Watcher) {
        if (!known.has(call.request.service)) call.write({ status: 'SERVICE_UNKNOWN' })
        else call.write(answer())
        if (stopped) return call.end()
        watchers.add(call)
        for (const event of ['cancelled', 'close', 'error'])
          call.on(event, () => watchers.delete(call))
        return undefined
      },
    },
    setServing(next) {
      if (stopped || next === serving) return
      serving = next
      for (const call of watchers) if (known.has(call.request.service)) call.write(answer())
    },
    stop() {
      serving = false
      stopped = true
      for (const call of watchers) {
        if (known.has(call.request.service)) call.write(answer())
        call.end()
      }
      watchers.clear()
    },
  }
}
