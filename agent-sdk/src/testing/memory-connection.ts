/** The connection of an agent in memory to its gateway in memory. */
import { type AgentIdentity, MeshError, toTimestamp } from '@clawmesh/proto'
import { Metadata, type StatusObject } from '@grpc/grpc-js'
import type { CallChoices, Connection, Method } from '../client/connection.ts'
import type { FirstContact } from '../client/first-contact.ts'
import { METHODS, messages, type WireExplanation } from '../wire/messages.ts'
import { errorToStatus, statusToError } from '../wire/status-codec.ts'
import { CallersEnd, serviceError } from './memory-call.ts'
import { AWAY, type MemoryGateway } from './memory-gateway.ts'
import type { MemoryPolicy } from './memory-policy.ts'

export interface MemoryConnectionOptions {
  readonly identity: AgentIdentity
  readonly gateway: MemoryGateway
  /** The gateway's own name. */
  readonly gatewayName: string
  /** SPIFFE ID of the gateway. */
  readonly gatewayId: string
  readonly policy: MemoryPolicy
  /** The full names of all agents of the mesh, with who they are. */
  readonly agents: () => ReadonlyMap<string, AgentIdentity>
  readonly up: () => boolean
  readonly contact: Pick<FirstContact, 'made' | 'failed' | 'close'>
  readonly now: () => number
  /** Runs what a peer does: not as part of the caller's own work. */
  readonly apart: <T>(work: () => T) => T
}

export interface MemoryConnection extends Connection {
  /** The gateway went away, or came back. */
  changed(): void
}

export function createMemoryConnection(options: MemoryConnectionOptions): MemoryConnection {
  const { gateway, apart, contact, up } = options
  const listeners = new Set<() => void>()
  let used = false
  const open = new Set<() => void>()
  let closed = false

  const tell = () => {
    for (const listener of [...listeners]) listener()
  }
  /** A turn later, as over a network. */
  const begin = <Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    choices: CallChoices,
    ends: {
      readonly stream: CallersEnd<unknown> | null
      onHead(head: Metadata): void
      onAnswer(error: StatusObject | null, answer: Buffer | null): void
    },
  ) => {
    if (closed) throw new MeshError('MESH_CALL_CANCELED', 'the agent was closed')
    const bytes = method.serialize(request)
    const metadata = new Metadata()
    for (const [key, value] of Object.entries(choices.metadata ?? {})) metadata.set(key, value)
    const { authority } = choices
    let stop = () => {}
    let canceled = false
    const start = () => {
      if (canceled) return
      const first = !used
      used = true
      if (up()) contact.made()
      if (first) tell()
      const call = { caller: options.identity, authority, path: method.path, request: bytes }
      if (authority !== options.gatewayName) stop = gateway.call({ ...call, metadata, ...ends })
      else answerOwn(options, method.path, bytes, ends.onAnswer)
    }
    setImmediate(() => apart(start))
    const cancel = () => {
      canceled = true
      stop()
    }
    open.add(cancel)
    return { cancel, over: () => open.delete(cancel) }
  }

  return {
    stream(method, request, choices) {
      const call = new CallersEnd(method.deserialize, () => begun.cancel())
      call.on('error', contact.failed)
      const onHead = (head: Metadata) => void call.emit('metadata', head)
      const begun = begin(method, request, choices, { stream: call, onHead, onAnswer: () => {} })
      call.once('close', begun.over)
      return call
    },
    duplex() {
      throw new TypeError('a test mesh has no streams both ways')
    },
    async unary(method, request, choices) {
      const { promise, resolve, reject } =
        Promise.withResolvers<ReturnType<typeof method.deserialize>>()
      const { signal } = choices
      const onAnswer = (error: StatusObject | null, answer: Buffer | null) => {
        if (error !== null) {
          const failure = serviceError(error)
          contact.failed(failure)
          reject(statusToError(failure))
        } else if (answer !== null) resolve(method.deserialize(answer))
      }
      const canceled = () => {
        begun.cancel()
        reject(new MeshError('MESH_CALL_CANCELED'))
      }
      const begun = begin(method, request, choices, { stream: null, onHead: () => {}, onAnswer })
      if (signal?.aborted) canceled()
      signal?.addEventListener('abort', canceled, { once: true })
      try {
        return await promise
      } finally {
        begun.over()
        signal?.removeEventListener('abort', canceled)
      }
    },
    status() {
      if (!used || closed) return 'idle'
      return up() ? 'connected' : 'connecting'
    },
    onStatus(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    changed() {
      if (used && !closed) tell()
    },
    close() {
      closed = true
      contact.close()
      listeners.clear()
      for (const cancel of open) cancel()
    },
  }
}

/** The gateway's own services, as far as agents ask them. */
function answerOwn(
  options: MemoryConnectionOptions,
  path: string,
  request: Buffer,
  onAnswer: (error: StatusObject | null, answer: Buffer | null) => void,
): void {
  const { identity, gatewayId, up, now } = options
  try {
    if (!up()) onAnswer(AWAY, null)
    else if (path === METHODS.whoAmI) {
      const { id: spiffe_id, tenant, agent } = identity
      const certificate_not_after = toTimestamp(new Date(now() + 86_400_000))
      const certificate = { certificate_not_after, certificate_fingerprint: '0'.repeat(64) }
      const said = { spiffe_id, tenant, agent, ...certificate, gateway: gatewayId }
      onAnswer(null, messages.whoAmI.serialize(said))
    } else if (path === METHODS.listPeers) {
      onAnswer(null, messages.peers.serialize({ peers: peersOf(options) }))
    } else if (path === METHODS.explain) {
      const asked = messages.explainRequest.deserialize(request)
      onAnswer(null, messages.explanation.serialize(explain(options, asked)))
    } else throw new MeshError('MESH_PEER_UNIMPLEMENTED')
  } catch (error) {
    onAnswer(errorToStatus(error), null)
  }
}

function peersOf({ agents, identity, policy }: MemoryConnectionOptions) {
  const method = METHODS.delegate.slice(1)
  const question = { plane: 'delegation', agent: identity.id, method, chain: [] } as const
  return [...agents()]
    .filter(
      ([name, peer]) => peer.id !== identity.id && policy.judge({ ...question, to: name }) === null,
    )
    .map(([name, { tenant, agent }]) => ({ name, tenant, agent, methods: ['*'], rule: 'test' }))
}

function explain(
  { identity, policy }: MemoryConnectionOptions,
  asked: { readonly to: string; readonly method: string; readonly host: string },
): WireExplanation {
  const plane = asked.host === '' ? 'delegation' : 'egress'
  const to = plane === 'delegation' ? asked.to : withPort(asked.host)
  const method = asked.method || (plane === 'delegation' ? METHODS.delegate.slice(1) : 'CONNECT')
  const refusal = policy.judge({ plane, agent: identity.id, to, method, chain: [] })
  return {
    action: refusal === null ? 'allow' : 'deny',
    code: refusal?.code ?? '',
    reason: refusal?.message ?? '',
    rule: '',
    file: '',
    hint: refusal?.hint ?? '',
    mode: 'enforce',
    generation: 1,
  }
}

function withPort(host: string): string {
  return /:\d+$/.test(host) ? host : `${host}:443`
}
