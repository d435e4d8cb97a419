/** The connection of an agent in memory to its gateway in memory. */
import { type AgentIdentity, MeshError, toTimestamp } from '@clawmesh/proto'
import { Metadata, type StatusObject } from '@grpc/grpc-js'
import type { CallChoices, Connection, Method } from '../client/connection.ts'
import type { FirstContact } from '../client/first-contact.ts'
import { METHODS, messages, type WireExplanation } from '../wire/messages.ts'
import { errorToStatus, statusToError } from '../wire/status-codec.ts'
import { CallersEnd, serviceError } from './memory-call.ts'
import { AWAY, type MemoryCall, type MemoryGateway } from './memory-gateway.ts'
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
  const { contact, up } = options
  const calls = new OpenCalls(options)
  return {
    stream(method, request, choices) {
      const call = new CallersEnd(method.deserialize, () => begun.cancel())
      call.on('error', contact.failed)
      const onHead = (head: Metadata) => void call.emit('metadata', head)
      const ends = { stream: call, onHead, onAnswer: () => {} }
      const begun = calls.begin(method, request, choices, ends)
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
      const onAnswer: Ends['onAnswer'] = (error, answer) => {
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
      const ends = { stream: null, onHead: () => {}, onAnswer }
      const begun = calls.begin(method, request, choices, ends)
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
      if (!calls.used()) return 'idle'
      return up() ? 'connected' : 'connecting'
    },
    onStatus: (listener) => calls.onStatus(listener),
    changed: () => calls.changed(),
    close() {
      contact.close()
      calls.close()
    },
  }
}

/** Who hears what becomes of a call. */
type Ends = Pick<MemoryCall, 'stream' | 'onHead' | 'onAnswer'>

/** The calls of one agent that are not over. */
class OpenCalls {
  readonly #options: MemoryConnectionOptions
  readonly #listeners = new Set<() => void>()
  readonly #open = new Set<() => void>()
  #used = false
  #closed = false

  constructor(options: MemoryConnectionOptions) {
    this.#options = options
  }

  /** A call was made, and the agent is not closed. */
  used(): boolean {
    return this.#used && !this.#closed
  }

  onStatus(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  changed(): void {
    if (this.used()) for (const listener of [...this.#listeners]) listener()
  }

  close(): void {
    this.#closed = true
    this.#listeners.clear()
    for (const cancel of this.#open) cancel()
  }

  /** A turn later, as over a network. */
  begin<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    choices: CallChoices,
    ends: Ends,
  ) {
    if (this.#closed) throw new MeshError('MESH_CALL_CANCELED', 'the agent was closed')
    const { gateway, gatewayName, identity: caller, apart, contact, up } = this.#options
    const bytes = method.serialize(request)
    const metadata = new Metadata()
    for (const [key, value] of Object.entries(choices.metadata ?? {})) metadata.set(key, value)
    const { authority } = choices
    let stop = () => {}
    let canceled = false
    const start = () => {
      if (canceled) return
      const first = !this.#used
      this.#used = true
      if (up()) contact.made()
      if (first) this.changed()
      const call = { caller, authority, path: method.path, request: bytes, metadata }
      if (authority !== gatewayName) stop = gateway.call({ ...call, ...ends })
      else answerOwn(this.#options, method.path, bytes, ends.onAnswer)
    }
    setImmediate(() => apart(start))
    const cancel = () => {
      canceled = true
      stop()
    }
    this.#open.add(cancel)
    return { cancel, over: () => this.#open.delete(cancel) }
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
    some_requests: false,
  }
}

function withPort(host: string): string {
  return /:\d+$/.test(host) ? host : `${host}:443`
}
