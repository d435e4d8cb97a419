/** The agent's own server: its skills, health and reflection, for callers that come through the gateway. */

import { DELEGATION_SERVICE, HEALTH_SERVICE, MeshError } from '@clawmesh/proto'
import { type ChannelOptions, Server, type ServerInterceptingCallInterface } from '@grpc/grpc-js'
import { parseListen } from '../model/listen-address.ts'
import { type CallListener, listenForCalls } from '../tls/call-listener.ts'
import type { IdentityStore } from '../tls/identity-snapshot.ts'
import { definition } from '../wire/messages.ts'
import { createCallerGate } from './caller-gate.ts'
import type { Service } from './delegation-service.ts'
import { addReflection } from './reflection.ts'
import { type AdditionalService, checkServeOptions, type ServeOptions } from './serve-options.ts'
import { createTaskService, type TaskServiceContext } from './task-service.ts'

/** A server of skills, as `agent.serve` returns it. */
export interface Serving {
  /** Where it really listens. */
  readonly address: { readonly host: string; readonly port: number }
  /**
   * Takes no new tasks, lets running ones end for `drainMs`, cancels the rest, and closes. In a task store that was given,
   * those that are resumed are not cancelled: they go on with the next server.
   */
  close(): Promise<void>
}

export interface ServeContext extends TaskServiceContext {
  /** Tenant of the agent. */
  readonly tenant: string
  readonly meshDomain: string
  readonly store: IdentityStore
}

// what is left of close() once the tasks have ended: readers take their last events
const FLUSH_MS = 2_000

const SERVER_OPTIONS: ChannelOptions = Object.freeze({
  'grpc.enable_channelz': 0,
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.max_concurrent_streams': 1_000,
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
})

/** @throws MeshError MESH_CONFIG_PORT when the address cannot be listened on, MESH_TASK_STORE_FAILED; TypeError for options that make no sense */
export async function serve(options: ServeOptions, context: ServeContext): Promise<Serving> {
  checkServeOptions(options)
  const { store: identity, spiffe, log, now } = context
  const own = { tenant: context.tenant, meshDomain: context.meshDomain, spiffe }
  const { acceptFrom = 'gateway', additionalServices = [] } = options
  const { host, port } = parseListen(options.listen ?? '127.0.0.1:7443')
  const service = createTaskService(options, context, namesOf(additionalServices))
  const { tasks, health, delegations, drainMs } = service
  let listener: CallListener | null = null
  const identify = (call: ServerInterceptingCallInterface) => {
    if (listener === null) throw new MeshError('MESH_IDENTITY_NO_CERTIFICATE')
    return listener.peerOf(call)
  }
  const server = new Server({
    ...SERVER_OPTIONS,
    interceptors: [createCallerGate(acceptFrom, own, identify)],
  })
  addServices(server, [delegations, health], additionalServices)

  try {
    listener = await listenForCalls({ server, store: identity, spiffe, host, port, log, now })
  } catch (cause) {
    await tasks.drain(0)
    service.close()
    throw new MeshError('MESH_CONFIG_PORT', `cannot listen on ${host}:${port}`, {
      cause,
      hint: 'change `listen` of serve(), or stop what uses the port',
    })
  }
  try {
    tasks.recover()
  } catch (error) {
    await tasks.drain(0)
    await listener.drain(0)
    server.forceShutdown()
    throw error
  }
  const { address } = listener
  const bound = listener
  let closing: Promise<void> | null = null
  const close = async () => {
    health.stop()
    await tasks.drain(drainMs)
    await bound.drain(FLUSH_MS)
    server.forceShutdown()
    service.close()
  }
  log.info({ ...address, skills: Object.keys(options.skills) }, 'the agent serves its skills')
  return Object.freeze({
    address,
    close() {
      closing ??= close()
      return closing
    },
  })
}

/** Its own services, those of the skill author, and reflection, which describes them all. */
function addServices(
  server: Server,
  own: readonly Service[],
  additional: readonly AdditionalService[],
): void {
  for (const { definition: methods, implementation } of own)
    server.addService(methods, implementation)
  for (const { service, implementation } of additional) server.addService(service, implementation)
  const described = additional.map((service) => service.definition ?? {})
  const reflection = addReflection(server, {
    definition: () => Object.assign({}, definition, ...described),
    services: namesOf(additional),
  })
  // a broken definition of the author's is told at once
  if (described.length > 0) reflection.prepare()
}

/** Names of the services that health and reflection list. */
function namesOf(additional: readonly AdditionalService[]): string[] {
  const extra = additional.flatMap(({ definition: known = {} }) => servicesIn(known))
  return [DELEGATION_SERVICE, HEALTH_SERVICE, ...extra]
}

function servicesIn(known: object): string[] {
  return Object.entries(known)
    .filter(([, entry]) => typeof entry === 'object' && entry !== null && !('format' in entry))
    .map(([name]) => name)
}
