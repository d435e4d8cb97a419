/** Serves skills to agents in memory: the tasks of a real server, and nothing that listens. */
import {
  type AgentIdentity,
  DELEGATION_SERVICE,
  formatPeerName,
  HEALTH_SERVICE,
} from '@clawmesh/proto'
import { parseListen } from '../model/listen-address.ts'
import type { ServeContext, Serving } from '../server/serve.ts'
import { checkServeOptions, type ServeOptions } from '../server/serve-options.ts'
import { createTaskService } from '../server/task-service.ts'
import type { HandlersEnd } from './memory-call.ts'
import type { MemoryGateway, MemoryServer } from './memory-gateway.ts'
import { waitUntilEmpty } from './wait-until-empty.ts'

// as a real server: readers take their last events
const FLUSH_MS = 2_000

/** @throws TypeError for options that make no sense, and for services beside the skills */
export async function serveInMemory(
  options: ServeOptions,
  context: Omit<ServeContext, 'store'>,
  { identity, gateway }: { readonly identity: AgentIdentity; readonly gateway: MemoryGateway },
): Promise<Serving> {
  checkServeOptions(options)
  if (options.additionalServices !== undefined)
    throw new TypeError('additionalServices: a test mesh has skills only')
  const address = parseListen(options.listen ?? '127.0.0.1:7443')
  const service = createTaskService(options, context, [DELEGATION_SERVICE, HEALTH_SERVICE])
  const { tasks, health, delegations, drainMs } = service
  try {
    tasks.recover()
  } catch (error) {
    await tasks.drain(0)
    throw error
  }
  const name = formatPeerName(identity, context.meshDomain)
  const open = new Set<HandlersEnd>()
  const server: MemoryServer = { identity, delegations, open }
  gateway.servers.set(name, server)
  let closing: Promise<void> | null = null
  const close = async () => {
    health.stop()
    await tasks.drain(drainMs)
    await waitUntilEmpty(open, FLUSH_MS)
    if (gateway.servers.get(name) === server) gateway.servers.delete(name)
    service.close()
  }
  return Object.freeze({
    address,
    close() {
      closing ??= close()
      return closing
    },
  })
}
