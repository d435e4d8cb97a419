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
  const { connection, gatewayName, log } = options
  const followed = new Map<number, Followed>()
  /** What the gateway knows by the stream that is open. */
  const told = new Set<number>()
  const closing = new AbortController()
  const backoff = createBackoff({ firstMs: 50, maxMs: 1_000 })
  let lastKey = 0
  let stream: Stream | null = null
  let waiting = false
  let telling: NodeJS.Timeout | null = null
  let lingering: NodeJS.Timeout | undefined

  const tell = (to: Stream) => {
    for (const [key, { token }] of followed) {
      if (told.has(key) || told.size >= MAX_TREES) continue
      told.add(key)
      to.write({ key, delegation_token: token })
    }
  }
  const tellSoon = () => {
    telling ??= setTimeout(() => {
      telling = null
      if (closing.signal.aborted || followed.size === 0 || waiting) return
      if (stream === null) open()
      else tell(stream)
    }, TOLD_AFTER_MS).unref()
  }
  const open = () => {
    const opened = connection.duplex(methods.followTrees, { authority: gatewayName })
    const openedMs = performance.now()
    stream = opened
    told.clear()
    tell(opened)
    opened.on('data', ({ key, code, message }: WireTreeRevoked) => {
      const one = followed.get(key)
      followed.delete(key)
      told.delete(key)
      one?.onRevoked(new MeshError(isErrorCode(code) ? code : REVOKED, message))
    })
    opened.on('error', () => {})
    opened.on('status', ({ code }) => {
      if (stream !== opened) return
      stream = null
      if (performance.now() - openedMs > STEADY_MS) backoff.reset()
      if (!closing.signal.aborted && followed.size > 0) void openAgain(code)
    })
  }
  /** The gateway has gone, or drains: whatever was revoked meanwhile is told by the next one at once. */
  const openAgain = async (code: number) => {
    waiting = true
    const atLeastMs = code === status.UNIMPLEMENTED ? UNKNOWN_MS : 0
    log.debug({ status: code }, 'the stream that tells of revoked trees has ended; opening another')
    try {
      await backoff.wait(closing.signal, atLeastMs)
    } catch {
      // the agent is closed
      return
    } finally {
      waiting = false
    }
    if (stream === null && followed.size > 0) open()
  }
  /** Ends well: nothing is cancelled. */
  const end = () => {
    const old = stream
    stream = null
    old?.end()
  }
  // what follows by a certificate that has been renewed would end with the old one
  const unfollow = options.store.onChange(() => {
    if (stream === null) return
    end()
    if (followed.size > 0) open()
  })

  return {
    follow(token, onRevoked) {
      lastKey += 1
      const key = lastKey
      followed.set(key, { token, onRevoked })
      clearTimeout(lingering)
      tellSoon()
      return () => {
        if (!followed.delete(key)) return
        if (told.delete(key)) stream?.write({ key, delegation_token: '' })
        if (followed.size > told.size) tellSoon()
        if (followed.size > 0 || stream === null) return
        clearTimeout(lingering)
        lingering = setTimeout(end, LINGER_MS).unref()
      }
    },
    close() {
      closing.abort()
      clearTimeout(lingering)
      if (telling !== null) clearTimeout(telling)
      unfollow()
      end()
      followed.clear()
    },
  }
}

const REVOKED: ErrorCode = 'MESH_CHAIN_REVOKED'
