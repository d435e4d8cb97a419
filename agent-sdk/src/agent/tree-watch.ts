/**
 * Learns which trees of delegations are revoked, of those that this agent holds tasks of: by one stream to the gateway, also
 * when no stream follows the task. The stream is open while there is something to learn, and is opened again when it breaks.
 */
import { type ErrorCode, isErrorCode, MeshError } from '@clawmesh/proto'
import { type ClientDuplexStream, status } from '@grpc/grpc-js'
import { createBackoff } from '../client/backoff.ts'
import type { Connection } from '../client/connection.ts'
import { methods } from '../client/methods.ts'
import type { Log } from '../log.ts'
import type { IdentityStore } from '../tls/identity-snapshot.ts'
import type { WireFollowTrees, WireTreeRevoked } from '../wire/messages.ts'

export interface TreeWatch {
  /**
   * @param token the delegation token that came with a task
   * @param onRevoked called once, with what ends the task
   * @returns what ends following, for a task that has ended
   */
  follow(token: string, onRevoked: (error: MeshError) => void): () => void
  close(): void
}

export interface TreeWatchOptions {
  readonly connection: Pick<Connection, 'duplex'>
  /** The gateway's own name. */
  readonly gatewayName: string
  readonly store: Pick<IdentityStore, 'onChange'>
  readonly log: Log
}

interface Followed {
  readonly token: string
  readonly onRevoked: (error: MeshError) => void
}

type Stream = ClientDuplexStream<WireFollowTrees, WireTreeRevoked>

/** The gateway is told of tasks that last so long, in milliseconds: most have ended by then, and cost nothing. */
const TOLD_AFTER_MS = 250
/** A stream that follows nothing is closed after this, in milliseconds. */
const LINGER_MS = 30_000
/** A gateway that is older than this service is asked again after so long, in milliseconds. */
const UNKNOWN_MS = 300_000
/** A stream that lived for so long, in milliseconds, did not fail when it was opened. */
const STEADY_MS = 1_000
/** What a gateway takes by one stream. */
const MAX_TREES = 2_000

export function createTreeWatch(options: TreeWatchOptions): TreeWatch {
  return new OneStreamWatch(options)
}

class OneStreamWatch implements TreeWatch {
  readonly #connection: TreeWatchOptions['connection']
  readonly #gatewayName: string
  readonly #log: Log
  readonly #followed = new Map<number, Followed>()
  /** What the gateway knows by the stream that is open. */
  readonly #told = new Set<number>()
  readonly #closing = new AbortController()
  readonly #backoff = createBackoff({ firstMs: 50, maxMs: 1_000 })
  readonly #unfollow: () => void
  #lastKey = 0
  #stream: Stream | null = null
  #waiting = false
  #telling: NodeJS.Timeout | null = null
  #lingering: NodeJS.Timeout | undefined

  constructor({ connection, gatewayName, store, log }: TreeWatchOptions) {
    this.#connection = connection
    this.#gatewayName = gatewayName
    this.#log = log
    // what follows by a certificate that has been renewed would end with the old one
    this.#unfollow = store.onChange(() => {
      if (this.#stream === null) return
      this.#end()
      if (this.#followed.size > 0) this.#open()
    })
  }

  follow(token: string, onRevoked: (error: MeshError) => void): () => void {
    this.#lastKey += 1
    const key = this.#lastKey
    this.#followed.set(key, { token, onRevoked })
    clearTimeout(this.#lingering)
    this.#tellSoon()
    return () => this.#leave(key)
  }

  close(): void {
    this.#closing.abort()
    clearTimeout(this.#lingering)
    if (this.#telling !== null) clearTimeout(this.#telling)
    this.#unfollow()
    this.#end()
    this.#followed.clear()
  }

  #leave(key: number): void {
    if (!this.#followed.delete(key)) return
    if (this.#told.delete(key)) this.#stream?.write({ key, delegation_token: '' })
    if (this.#followed.size > this.#told.size) this.#tellSoon()
    if (this.#followed.size > 0 || this.#stream === null) return
    clearTimeout(this.#lingering)
    this.#lingering = setTimeout(() => this.#end(), LINGER_MS).unref()
  }

  #tellSoon(): void {
    this.#telling ??= setTimeout(() => {
      this.#telling = null
      if (this.#closing.signal.aborted || this.#followed.size === 0 || this.#waiting) return
      if (this.#stream === null) this.#open()
      else this.#tell(this.#stream)
    }, TOLD_AFTER_MS).unref()
  }

  #tell(to: Stream): void {
    for (const [key, { token }] of this.#followed) {
      if (this.#told.has(key) || this.#told.size >= MAX_TREES) continue
      this.#told.add(key)
      to.write({ key, delegation_token: token })
    }
  }

  #open(): void {
    const opened = this.#connection.duplex(methods.followTrees, { authority: this.#gatewayName })
    const openedMs = performance.now()
    this.#stream = opened
    this.#told.clear()
    this.#tell(opened)
    opened.on('data', (said: WireTreeRevoked) => this.#revoked(said))
    opened.on('error', () => {})
    opened.on('status', ({ code }) => {
      if (this.#stream !== opened) return
      this.#stream = null
      if (performance.now() - openedMs > STEADY_MS) this.#backoff.reset()
      if (!this.#closing.signal.aborted && this.#followed.size > 0) void this.#openAgain(code)
    })
  }

  #revoked({ key, code, message }: WireTreeRevoked): void {
    const one = this.#followed.get(key)
    this.#followed.delete(key)
    this.#told.delete(key)
    one?.onRevoked(new MeshError(isErrorCode(code) ? code : REVOKED, message))
  }

  /** The gateway has gone, or drains: whatever was revoked meanwhile is told by the next one at once. */
  async #openAgain(code: number): Promise<void> {
    this.#waiting = true
    const atLeastMs = code === status.UNIMPLEMENTED ? UNKNOWN_MS : 0
    const event = 'the stream that tells of revoked trees has ended; opening another'
    this.#log.debug({ status: code }, event)
    try {
      await this.#backoff.wait(this.#closing.signal, atLeastMs)
    } catch {
      // the agent is closed
      return
    } finally {
      this.#waiting = false
    }
    if (this.#stream === null && this.#followed.size > 0) this.#open()
  }

  /** Ends the stream well: nothing is cancelled. */
  #end(): void {
    const old = this.#stream
    this.#stream = null
    old?.end()
  }
}

const REVOKED: ErrorCode = 'MESH_CHAIN_REVOKED'
