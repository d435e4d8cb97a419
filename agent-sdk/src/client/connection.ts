/**
 * The agent's connection to its gateway. A renewed certificate gets a new connection: the old one carries
 * its calls to their end, so that no call fails and none is judged by a certificate that has expired.
 */

import { MeshError } from '@clawmesh/proto'
import {
  type CallOptions,
  type ChannelCredentials,
  type ChannelInterface,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  connectivityState,
  Metadata,
} from '@grpc/grpc-js'
import type { IdentityStore } from '../tls/identity-snapshot.ts'
import { WINDOW_BYTES } from '../tls/windows.ts'
import { statusToError } from '../wire/status-codec.ts'
import type { FirstContact } from './first-contact.ts'
import { createReplicaMarks, type ReplicaMarks } from './replica-marks.ts'

export interface Method<Request, Response> {
  readonly path: string
  readonly serialize: (request: Request) => Buffer
  readonly deserialize: (bytes: Buffer) => Response
}

export interface CallChoices {
  /** Full name of the peer, or of the gateway: becomes :authority. */
  readonly authority: string
  readonly metadata?: Readonly<Record<string, string>>
  /** Milliseconds since the epoch. */
  readonly deadline?: number
  readonly signal?: AbortSignal
}

export interface Connection {
  /** The reader cancels it. */
  stream<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    choices: Omit<CallChoices, 'signal'>,
  ): ClientReadableStream<Response>
  /** The caller ends it, and opens another for as long as there is no gateway. */
  duplex<Request, Response>(
    method: Method<Request, Response>,
    choices: Omit<CallChoices, 'signal'>,
  ): ClientDuplexStream<Request, Response>
  /** @throws MeshError */
  unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    choices: CallChoices,
  ): Promise<Response>
  /** Of the connection that takes new calls. */
  status(): ConnectionStatus
  /** Calls `listener` at each change of `status()`, and when a renewed certificate gets a new connection. Returns what ends it. */
  onStatus(listener: () => void): () => void
  close(): void
}

/** `connecting` also while it waits before it tries again. */
export type ConnectionStatus = 'idle' | 'connecting' | 'connected'

export interface ConnectionOptions {
  /** host:port */
  readonly target: string
  readonly store: Pick<IdentityStore, 'onChange'>
  readonly credentials: () => ChannelCredentials
  /** Carries the calls in place of a connection to `target`. Default: none. */
  readonly channel?: ChannelInterface
  /** Where the replicas of tasks are remembered. Default: for this connection alone. */
  readonly replicas?: ReplicaMarks
  readonly contact: Pick<FirstContact, 'beginEndless' | 'failed' | 'close'>
}

/** A message as gRPC takes it by default, both ways. */
const MESSAGE_BYTES = 4 * 1024 * 1024

// what grpc-timeout can say without overflowing in grpc-js (FACTS: 597 hours); beyond a day only our own clock counts
const LONGEST_RPC_MS = 24 * 3_600_000

const CHANNEL_OPTIONS: ChannelOptions = Object.freeze({
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  // two agents in one process share nothing, and close() leaves nothing
  'grpc.use_local_subchannel_pool': 1,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  'grpc.max_receive_message_length': MESSAGE_BYTES,
  'grpc.max_send_message_length': MESSAGE_BYTES,
  // of each stream and of the connection: with the 64 KiB of Node a path of 100 ms carries 0.6 MB a second
  'grpc-node.flow_control_window': WINDOW_BYTES,
})

interface Line {
  readonly client: Client
  calls: number
  retired: boolean
}

export function createConnection(options: ConnectionOptions): Connection {
  const { contact } = options
  const lines = new Lines(options)

  return {
    stream(method, request, choices) {
      const { path, serialize, deserialize } = method
      const { client, release, metadata, options } = lines.begin(choices)
      const call = client.makeServerStreamRequest(
        path,
        serialize,
        deserialize,
        request,
        metadata,
        options,
      )
      call.on('metadata', (answered) => lines.keepReplica(metadata, answered))
      call.on('status', release)
      call.on('error', release)
      call.on('error', contact.failed)
      return call
    },
    duplex({ path, serialize, deserialize }, choices) {
      const { client, release, metadata, options } = lines.begin(choices)
      contact.beginEndless()
      const call = client.makeBidiStreamRequest(path, serialize, deserialize, metadata, options)
      call.on('status', release)
      call.on('error', release)
      call.on('error', contact.failed)
      return call
    },
    unary(method, request, choices) {
      const { promise, resolve, reject } =
        Promise.withResolvers<ReturnType<typeof method.deserialize>>()
      const { signal } = choices
      const { path, serialize, deserialize } = method
      const { client, release, metadata, options } = lines.begin(choices)
      const call = client.makeUnaryRequest(
        path,
        serialize,
        deserialize,
        request,
        metadata,
        options,
        (error, response) => {
          release()
          letGo()
          if (error !== null) contact.failed(error)
          if (response !== undefined && error === null) resolve(response)
          else reject(signal?.aborted ? new MeshError('MESH_CALL_CANCELED') : statusToError(error))
        },
      )
      const letGo = cancelBy(signal, call)
      return promise
    },
    status: () => lines.status(),
    onStatus: (listener) => lines.onStatus(listener),
    close() {
      lines.close()
    },
  }
}

/** The line that takes new calls, and older ones that carry theirs to the end. */
class Lines {
  readonly #options: ConnectionOptions
  readonly #replicas: ReplicaMarks
  readonly #open = new Set<Line>()
  readonly #stopFollowing: () => void
  readonly #listeners = new Set<() => void>()
  #current: Line
  #closed = false
  #calls = 0
  /** A script that waits for a call does not end. A socket alone keeps it only while it is read from. */
  readonly #stay = setInterval(() => {}, LONGEST_RPC_MS).unref()

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#replicas = options.replicas ?? createReplicaMarks()
    this.#current = this.#add()
    this.#stopFollowing = options.store.onChange(() => {
      const old = this.#current
      this.#current = this.#add()
      old.retired = true
      this.#settle(old)
      this.#tell()
    })
  }

  /** On the current line, on which a call is counted until `release`. */
  begin(choices: Omit<CallChoices, 'signal'>) {
    if (this.#closed) throw new MeshError('MESH_CALL_CANCELED', 'the agent was closed')
    // what cannot be sent is no call
    const [metadata, options] = prepare(choices)
    const line = this.#current
    line.calls += 1
    if (this.#calls++ === 0) this.#stay.ref()
    let over = false
    const release = () => {
      if (over) return
      over = true
      line.calls -= 1
      if (--this.#calls === 0) this.#stay.unref()
      this.#settle(line)
    }
    this.#replicas.show(metadata)
    return { client: line.client, release, metadata, options }
  }

  /** What the answer says of the replica that gave it. */
  keepReplica(asked: Metadata, answered: Metadata): void {
    this.#replicas.keep(asked, answered)
  }

  status(): ConnectionStatus {
    if (this.#closed) return 'idle'
    return STATUS[this.#current.client.getChannel().getConnectivityState(false)]
  }

  onStatus(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#stay)
    this.#listeners.clear()
    this.#options.contact.close()
    this.#stopFollowing()
    for (const line of this.#open) {
      line.retired = true
      line.client.close()
    }
    this.#open.clear()
  }

  #add(): Line {
    const { target, credentials, channel } = this.#options
    const own = channel === undefined ? {} : { channelOverride: channel }
    const client = new Client(target, credentials(), { ...CHANNEL_OPTIONS, ...own })
    const line = { client, calls: 0, retired: false }
    this.#open.add(line)
    this.#watch(line)
    return line
  }

  /** grpc-js tells of one change only, and a retired line is of no interest. */
  #watch(line: Line): void {
    const channel = line.client.getChannel()
    channel.watchConnectivityState(channel.getConnectivityState(false), Infinity, () => {
      if (this.#closed || line.retired) return
      this.#watch(line)
      this.#tell()
    })
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  #settle(line: Line): void {
    if (!line.retired || line.calls > 0) return
    this.#open.delete(line)
    line.client.close()
  }
}

const STATUS: Readonly<Record<connectivityState, ConnectionStatus>> = Object.freeze({
  [connectivityState.IDLE]: 'idle',
  [connectivityState.CONNECTING]: 'connecting',
  [connectivityState.READY]: 'connected',
  [connectivityState.TRANSIENT_FAILURE]: 'connecting',
  [connectivityState.SHUTDOWN]: 'idle',
})

/** Cancels the call when the signal aborts, until the function returned is called. */
function cancelBy(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  const cancel = () => call.cancel()
  if (signal?.aborted) cancel()
  else signal?.addEventListener('abort', cancel, { once: true })
  return () => signal?.removeEventListener('abort', cancel)
}

function prepare({ authority, metadata = {}, deadline }: CallChoices): [Metadata, CallOptions] {
  const headers = new Metadata()
  for (const [key, value] of Object.entries(metadata)) headers.set(key, value)
  const near = deadline !== undefined && deadline - Date.now() < LONGEST_RPC_MS
  return [headers, { host: authority, ...(near ? { deadline } : {}) }]
}
