/**
 * A relay as a process of its own. Where one of the same agent runs at the same address already, that one is used; a relay that a
 * host has started stands by then, and takes over when it is gone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, createAgent, type EgressRelay, type Log } from '@clawmesh/agent-sdk'
import { askRelay, openRelaySecret, type RelayStatus } from '@clawmesh/agent-sdk/mesh'
import { MeshError, type Secret } from '@clawmesh/proto'

export interface RelayOptions {
  /** Directory with tls.crt, tls.key and ca.crt. */
  readonly identity: string
  /** host:port of the gateway's delegation port, where tokens are asked for. */
  readonly gateway: string
  /** URL of the gateway's egress port. */
  readonly egress: string
  /** host:port */
  readonly listen: string
  readonly secretFile: string
  readonly allowOtherMachines: boolean
  /** PEM of CAs for an https:// egress port, besides the roots of the mesh. */
  readonly egressPortCa?: string
  /** Waits while another relay of this agent serves, and takes over. Otherwise it says so and ends. */
  readonly standBy: boolean
  /** Ends it; open connections may go on for `drainMs`. */
  readonly signal: AbortSignal
  /** Milliseconds. */
  readonly drainMs: number
  readonly log: Log
  readonly onEvent: (event: RelayEvent) => void
}

export interface RelayEvent {
  /** `listening`: this process serves. `running`: another one does, and this one ends. `standing-by`: this one waits for its end. */
  readonly event: 'listening' | 'running' | 'standing-by'
  /** host:port */
  readonly listen: string
  /** SPIFFE ID. */
  readonly agent: string
  /** Of the process that serves. */
  readonly pid: number
  readonly secretFile: string
}

const STAND_BY_MS = 500
/** Another that is just ending leaves the port within moments. */
const PORT_ATTEMPTS = 10
const PORT_MS = 100

/**
 * Resolves when it has ended: by the signal, or because another relay serves.
 * @throws MeshError MESH_IDENTITY_…, MESH_RELAY_SECRET, MESH_CONFIG_PORT; TypeError for options that make no sense
 */
export async function runRelay(options: RelayOptions): Promise<void> {
  const { identity, gateway, egress, egressPortCa, log, signal } = options
  const agent = await createAgent({
    ...{ identity, gateway, egress, log },
    ...(egressPortCa === undefined ? {} : { egressPortCa }),
  })
  try {
    const secret = await openRelaySecret(options.secretFile)
    const relay = await takePort(agent, secret, options)
    if (relay === null) return
    options.onEvent(eventOf('listening', agent, options, relay))
    await ended(signal)
    await relay.drain(options.drainMs)
  } finally {
    await agent.close()
  }
}

/** Null when another one serves, or when it was ended before. */
async function takePort(
  agent: Agent,
  secret: Secret<string>,
  options: RelayOptions,
): Promise<EgressRelay | null> {
  const { listen, secretFile, allowOtherMachines, signal } = options
  let saidTo = 0
  for (let attempt = 1; !signal.aborted; ) {
    try {
      return await agent.egressRelay({ listen, secretFile, allowOtherMachines })
    } catch (error) {
      if (!(error instanceof MeshError) || error.code !== 'MESH_CONFIG_PORT') throw error
      const status = await whoListens(agent, secret, options, error)
      if (status === null) {
        attempt += 1
        if (attempt > PORT_ATTEMPTS) throw error
        await sleep(PORT_MS)
        continue
      }
      if (!options.standBy) {
        options.onEvent({ ...eventOf('running', agent, options), pid: status.pid })
        return null
      }
      if (saidTo !== status.pid)
        options.onEvent({ ...eventOf('standing-by', agent, options), pid: status.pid })
      saidTo = status.pid
      attempt = 1
      await sleep(STAND_BY_MS, undefined, { signal }).catch(() => {})
    }
  }
  return null
}

/** The relay that has the port; null when nobody has it by now. @throws MeshError when anybody else has it */
async function whoListens(
  agent: Agent,
  secret: Secret<string>,
  { listen, egress }: RelayOptions,
  fault: MeshError,
): Promise<RelayStatus | null> {
  const found = await askRelay(addressOf(listen), secret)
  if (found.kind === 'nobody') return null
  const taken = (by: string, hint: string) =>
    new MeshError('MESH_CONFIG_PORT', `cannot listen on ${listen}: ${by}`, { cause: fault, hint })
  if (found.kind !== 'relay')
    throw taken(
      'another program has the port, or a relay with another secret file',
      'stop it, or choose another port with --listen; what used the relay may have sent it the secret: run `mesh-agent openclaw setup --renew-secret`',
    )
  const { status } = found
  if (status.agent === agent.identity.id && status.egress === new URL(egress).origin) return status
  throw taken(
    `a relay of ${status.agent} to ${status.egress} has the port (process ${status.pid})`,
    'give each agent a port of its own with --listen',
  )
}

export function addressOf(listen: string): { readonly host: string; readonly port: number } {
  const colon = listen.lastIndexOf(':')
  const host = listen.slice(0, colon).replace(/^\[|\]$/g, '')
  return { host, port: Number(listen.slice(colon + 1)) }
}

function eventOf(
  event: RelayEvent['event'],
  agent: Agent,
  { listen, secretFile }: RelayOptions,
  relay?: EgressRelay,
): RelayEvent {
  const bound =
    relay === undefined ? listen : `${bracketed(relay.address.host)}:${relay.address.port}`
  return { event, listen: bound, agent: agent.identity.id, pid: process.pid, secretFile }
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
