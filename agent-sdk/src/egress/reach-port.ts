/**
 * Connects to the egress port, and says which address did not answer and why. The port is a step away: a connection that takes
 * longer than 2.5 s is given up, so that the error is there within 3 s. How long a destination may take is another bound.
 */
import { connect, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { MeshError } from '@clawmesh/proto'
import { KEEP_ALIVE_MS } from '../tls/keep-alive.ts'
import { ofOpenSsl } from '../wire/openssl-words.ts'

const REACH_MS = 2_500
const HINT = 'check that the gateway runs and that the URL of its egress port is right'
const NO_TLS =
  'what listens there speaks no TLS: give the gateway egress.tls.dir, or write http:// for one on this machine'

export interface PortConnection {
  readonly socket: Socket
  /** The event with which it is ready: after TCP, or after TLS. */
  readonly ready: 'connect' | 'secureConnect'
}

/**
 * A connection that has begun; when it does not come about, its socket ends with an error for `unreachedPort`.
 * @param dial connects by TLS; null: the port does not speak it
 * @throws MeshError as `dial` does
 */
export function reachPort(port: URL, dial: (() => TLSSocket) | null): PortConnection {
  const socket = dial?.() ?? connectInTheClear(port)
  const ready = dial === null ? 'connect' : 'secureConnect'
  const timer = setTimeout(
    () => socket.destroy(new Error(`${port.host} does not answer`)),
    REACH_MS,
  )
  const done = () => clearTimeout(timer)
  socket.once(ready, done).once('close', done)
  return { socket, ready }
}

/** @param cause of Node, which names the address, such as `connect ECONNREFUSED 127.0.0.1:8080` */
export function unreachedPort(cause: Error): MeshError {
  // a host with several addresses: one error for each
  const first = cause instanceof AggregateError ? cause.errors[0] : cause
  const said = first instanceof Error ? ofOpenSsl(first.message, NO_TLS) : ''
  const message = `the egress port cannot be reached${said === '' ? '' : `: ${said}`}`
  return new MeshError('MESH_GATEWAY_UNREACHABLE', message, { cause, hint: HINT })
}

function connectInTheClear(port: URL): Socket {
  return connect({
    host: port.hostname.replace(/^\[|\]$/g, ''),
    port: Number(port.port) || 80,
    ...{ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
  })
}
