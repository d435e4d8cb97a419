/**
 * A proxy on this machine for programs that can send a fixed credential and nothing better. It takes a local secret from them and
 * puts a fresh token of the agent in its place. The gateway judges each request, and its answers pass as they come.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { MeshError, type Secret } from '@clawmesh/proto'
import { checkOptions, optionNames } from '../../check-options.ts'
import type { Log } from '../../log.ts'
import { isLoopback, type ListenAddress, parseListen } from '../../model/listen-address.ts'
import type { PortDialer } from '../port-dialer.ts'
import { reachPort } from '../reach-port.ts'
import type { TokenSource } from '../token-source.ts'
import type { ProxyHead } from './proxy-head.ts'
import { asciiJson, isFaultOfClient, jsonAnswer, refusalByRelay } from './relay-answer.ts'
import { isRelaySecret, openRelaySecret } from './relay-secret.ts'
import {
  ASK_FIELD,
  nonceOf,
  PROOF_FIELD,
  proofOfAnswer,
  type RelayFault,
  type RelayStatus,
  STATUS_TARGET,
} from './relay-status.ts'
import { type RelayContext, RelayedConnection } from './relayed-connection.ts'

/** Options of `agent.egressRelay`. */
export interface EgressRelayOptions {
  /** host:port, e.g. 127.0.0.1:7080; port 0 takes a free one. An address that other machines reach is refused. */
  readonly listen: string
  /**
   * The file with the secret that clients show, as the password of `Proxy-Authorization: Basic`. It is made when it is not there, and
   * refused when others than this user can use it. It is read once.
   */
  readonly secretFile: string
  /** Listens on an address that other machines reach: then the secret and what is sent cross the network in the clear. Default false. */
  readonly allowOtherMachines?: boolean
}

/** A relay, as `agent.egressRelay` returns it. */
export interface EgressRelay {
  /** Where it really listens. */
  readonly address: ListenAddress
  /**
   * Takes no new connections, lets open ones end for so long, in milliseconds, and closes the rest. Others can listen on the port at
   * once. Default 10,000.
   */
  drain(graceMs?: number): Promise<void>
  /** Ends all at once. */
  close(): Promise<void>
}

export interface EgressRelayParts {
  readonly port: URL
  /** For a port that speaks TLS; null: it does not. */
  readonly dialer: PortDialer | null
  readonly tokens: TokenSource
  /** What it says of itself. */
  readonly about: Pick<RelayStatus, 'agent' | 'gateway'>
  readonly log: Log
  readonly now: () => number
  /** How long a client may take for the head of its request, in milliseconds. Default 10,000. */
  readonly headMs?: number
  /** Connections of clients at once. Each takes two file descriptors. Default 2,048. */
  readonly maxConnections?: number
}

const NAMES = optionNames<EgressRelayOptions>({
  listen: true,
  secretFile: true,
  allowOtherMachines: true,
})
const BACKLOG = 1_024
const DRAIN_MS = 10_000
const HEAD_MS = 10_000
const MAX_CONNECTIONS = 2_048

/**
 * @throws TypeError for options that make no sense; MeshError MESH_RELAY_SECRET, MESH_DISK_WRITE, MESH_CONFIG_PORT
 */
export async function createEgressRelay(
  options: EgressRelayOptions,
  parts: EgressRelayParts,
): Promise<EgressRelay> {
  checkOptions(options, NAMES, 'egressRelay')
  const { secretFile, allowOtherMachines = false } = options
  const listen = parseListen(options.listen)
  if (!isLoopback(listen.host) && !allowOtherMachines)
    throw new TypeError(
      'listen: must be an address of loopback; allowOtherMachines: true takes others, in the clear',
    )
  if (typeof secretFile !== 'string' || secretFile === '')
    throw new TypeError('secretFile: must name a file')
  const relay = new Relay(await openRelaySecret(secretFile), parts)
  await relay.listen(listen)
  return Object.freeze({
    address: relay.address,
    drain: (graceMs = DRAIN_MS) => relay.drain(graceMs),
    close: () => relay.drain(0),
  })
}

class Relay {
  readonly #secret: Secret<string>
  readonly #parts: EgressRelayParts
  readonly #server: Server
  readonly #context: RelayContext
  readonly #connections = new Set<RelayedConnection>()
  readonly #sinceMs: number
  readonly #maxConnections: number
  #fault: RelayFault | null = null
  #denied = 0
  #saidFull = false
  #closing: Promise<void> | null = null
  address: ListenAddress = { host: '', port: 0 }

  constructor(secret: Secret<string>, parts: EgressRelayParts) {
    this.#secret = secret
    this.#parts = parts
    this.#sinceMs = parts.now()
    this.#maxConnections = parts.maxConnections ?? MAX_CONNECTIONS
    const { port, dialer, tokens, headMs = HEAD_MS } = parts
    this.#context = {
      ...{ tokens, headMs },
      reach: ({ boundTo }) => reachPort(port, dialer === null ? null : () => dialer.dial(boundTo)),
      admit: (head) => this.#admit(head),
      onRefused: (error, facts) => this.#onRefused(error, facts),
      onAnswered: () => this.#onAnswered(),
    }
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#onClient(socket))
  }

  /** @throws MeshError MESH_CONFIG_PORT */
  async listen({ host, port }: ListenAddress): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#server.once('error', reject)
    this.#server.listen({ host, port, backlog: BACKLOG }, resolve)
    await promise.catch((cause) => {
      throw new MeshError('MESH_CONFIG_PORT', `cannot listen on ${host}:${port}`, {
        cause,
        hint: 'change `listen` of the relay, or stop what uses the port',
      })
    })
    this.#server.off('error', reject)
    this.#server.on('error', (err) => {
      this.#parts.log.warn({ err }, 'the relay could not accept a connection')
    })
    const bound = this.#server.address()
    this.address = { host, port: typeof bound === 'object' && bound !== null ? bound.port : port }
    this.#parts.log.info({ ...this.address }, 'the relay listens')
  }

  drain(graceMs: number): Promise<void> {
    const closed =
      this.#closing ?? new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#closing = closed
    for (const connection of this.#connections)
      if (graceMs <= 0 || connection.idle) connection.destroy()
    const timer = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy()
    }, graceMs)
    return closed.finally(() => clearTimeout(timer))
  }

  #onClient(socket: Socket): void {
    if (this.#connections.size >= this.#maxConnections && !this.#makeRoom()) {
      this.#refuseClient(socket)
      return
    }
    const connection = new RelayedConnection(socket, this.#context)
    this.#connections.add(connection)
    socket.once('close', () => {
      this.#connections.delete(connection)
      if (this.#connections.size < this.#maxConnections / 2) this.#saidFull = false
    })
  }

  /** Of the connections that have not shown the secret the oldest one goes: a program without it keeps nobody out. */
  #makeRoom(): boolean {
    for (const connection of this.#connections) {
      if (connection.proven) continue
      this.#connections.delete(connection)
      connection.destroy()
      return true
    }
    return false
  }

  #refuseClient(socket: Socket): void {
    const error = new MeshError(
      'MESH_LIMIT_CONCURRENCY',
      `the relay has ${this.#maxConnections} connections already`,
    )
    const { requestId, bytes } = refusalByRelay(error, null)
    const fields = { code: error.code, hint: error.hint, request_id: requestId }
    // once, until there is room again
    const level = this.#saidFull ? 'debug' : 'warn'
    this.#saidFull = true
    this.#parts.log[level](fields, `the relay refused a connection: ${error.message}`)
    socket.on('error', () => {})
    // what has come already is read, so that no reset overtakes the answer
    socket.resume().end(bytes, 'latin1', () => socket.destroySoon())
  }

  #admit(head: ProxyHead): string | null {
    if (head.form === 'own' && head.target === STATUS_TARGET) {
      const nonce = nonceOf(head.field(ASK_FIELD), this.#secret)
      if (nonce !== null) return this.#answerAsk(nonce)
    }
    if (head.password === null || !isRelaySecret(head.password, this.#secret)) {
      this.#denied += 1
      throw new MeshError('MESH_RELAY_CREDENTIAL')
    }
    if (head.form !== 'own') return null
    throw new MeshError(
      'MESH_EGRESS_MALFORMED',
      'the relay is a proxy, and was asked as a server',
      {
        hint: 'use it as a proxy: CONNECT host:port, or GET http://host/path',
      },
    )
  }

  #answerAsk(nonce: string): string {
    const status: RelayStatus = {
      ...this.#parts.about,
      egress: this.#parts.port.origin,
      pid: process.pid,
      sinceMs: this.#sinceMs,
      connections: this.#connections.size,
      denied: this.#denied,
      fault: this.#fault,
    }
    const body = asciiJson(status)
    return jsonAnswer(body, [`${PROOF_FIELD}: ${proofOfAnswer(this.#secret, nonce, body)}`])
  }

  /** Of the same fault the log says the first: a gateway that is away is asked for many times a second. */
  #onRefused(error: MeshError, facts: object): void {
    const { log } = this.#parts
    const { code, message, hint } = error
    const fields = { code, hint, ...facts }
    if (isFaultOfClient(code)) {
      log.debug(fields, `the relay refused a request: ${message}`)
      return
    }
    const known = this.#fault?.code === code
    this.#fault = { code, message, hint }
    if (known) log.debug(fields, message)
    else log.warn({ ...fields, err: error.cause }, `the relay cannot serve: ${message}`)
  }

  #onAnswered(): void {
    if (this.#fault === null) return
    this.#fault = null
    this.#parts.log.info({}, 'the gateway answers the relay again')
  }
}
