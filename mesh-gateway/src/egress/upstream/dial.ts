/**
 * Connects to judged addresses only. A DialPlan comes only from an allowed decision and judged addresses, and the
 * address that the socket has reached is compared with the judged one. Where the plan requires TLS, the certificate
 * must be valid for the host that policy judged.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext } from 'node:tls'
import type { AddressHealth } from '../../net/address-health.ts'
import { saysNoDescriptors } from '../../net/descriptors.ts'
import {
  type Attempt,
  type AttemptEnd,
  interleaveFamilies,
  raceConnections,
} from '../../net/happy-eyeballs.ts'
import { formatIp, parseIp } from '../../net/ip.ts'
import type { JudgedAddresses } from '../../net/judge-addresses.ts'
import { TCP_KEEP_ALIVE } from '../../net/keep-alive.ts'
import type { EgressDecision } from '../../policy/decide/decision.ts'
import type { ReadBuffers } from '../../process/node-internals/read-buffers.ts'
import { BufferedSocket, connectSocket } from '../carry/buffered-socket.ts'
import { type Refused, refuse } from '../refused.ts'
import type { Target } from '../request.ts'

export type { DialPlan }

export interface Dialled {
  readonly socket: BufferedSocket
  readonly ip: string
}

class DialPlan {
  readonly host: string
  /** The gateway itself speaks TLS to the destination. */
  readonly tls: boolean
  readonly #addresses: JudgedAddresses

  constructor(host: string, tls: boolean, addresses: JudgedAddresses) {
    this.host = host
    this.tls = tls
    this.#addresses = addresses
  }

  get ips(): readonly string[] {
    return this.#addresses.ips
  }

  get port(): number {
    return this.#addresses.port
  }
}

/** @throws TypeError when the decision was a refusal, or the addresses were judged for another port. */
export function planDial(
  target: Target,
  decision: EgressDecision,
  addresses: JudgedAddresses,
): DialPlan {
  if (decision.action !== 'allow' && decision.action !== 'audit')
    throw new TypeError('only an allowed decision can be dialled')
  if (addresses.port !== target.port)
    throw new TypeError('the addresses were judged for another port')
  return new DialPlan(target.host, speaksTls(target, decision), addresses)
}

/** True when the gateway itself speaks TLS to the destination. */
function speaksTls({ form, scheme }: Target, decision: EgressDecision): boolean {
  return (form === 'relay' ? decision.scheme : scheme) === 'https'
}

export interface DialOptions {
  /** Timeout for all addresses together, in milliseconds. */
  readonly dialMs: number
  /** The addresses per host that failed to connect lately. */
  readonly health: AddressHealth
  /** The trusted roots, when the plan requires TLS. */
  trust(): SecureContext
  readonly buffers: ReadBuffers
}

/** The failure to connect. */
export interface NotConnected {
  readonly refused: Refused
  /** The tried address, of several the one that `refused` is about; null when none was tried. */
  readonly ip: string | null
}

type End = AttemptEnd<BufferedSocket, Refused>

/**
 * Tries the addresses, each 250 ms after the one before, and takes the first that connects (RFC 8305).
 * @param signal aborts when no request waits any more
 */
export async function dial(
  plan: DialPlan,
  { dialMs, health, trust, buffers }: DialOptions,
  signal?: AbortSignal,
): Promise<Dialled | NotConnected> {
  // keyed by host too: a name with foreign addresses must not make those avoided for their own names
  const keyOf = (ip: string) => `${plan.host} ${ip} ${plan.port}`
  const ips = health.order(
    interleaveFamilies(plan.ips, (ip) => ip),
    keyOf,
  )
  const handshaking = new Set<string>()
  const end = await raceConnections<string, BufferedSocket, Refused>(ips, {
    health,
    keyOf,
    timeoutMs: dialMs,
    ...(signal === undefined ? {} : { signal }),
    discard: (socket) => socket.destroy(),
    connect: (ip, attempt) =>
      plan.tls
        ? connectTlsTo(plan, ip, attempt, trust(), () => handshaking.add(ip))
        : connectTcpTo(ip, plan.port, attempt, buffers),
  })
  if ('connection' in end) return { socket: end.connection, ip: end.address }
  if (end.aborted) return { refused: refuse('client', 'MESH_CALL_CANCELED'), ip: null }
  return whyNot(end.failures, end.unanswered, handshaking)
}

/** Chooses the most informative of several failures: an answer of a destination, then silence, then a network error. */
function whyNot(
  failures: readonly { readonly address: string; readonly failure: Refused }[],
  unanswered: readonly string[],
  handshaking: ReadonlySet<string>,
): NotConnected {
  const answered = failures.find(({ failure }) => failure.error.code === 'MESH_EGRESS_UPSTREAM_TLS')
  if (answered !== undefined) return { refused: answered.failure, ip: answered.address }
  const silent = unanswered.find((ip) => handshaking.has(ip)) ?? unanswered[0]
  const last = failures.at(-1)
  if (silent === undefined && last !== undefined) return { refused: last.failure, ip: last.address }
  const message = handshaking.has(silent ?? '')
    ? 'the TLS handshake was not done in time'
    : 'the destination did not connect in time'
  return { refused: refuse('dial', 'MESH_EGRESS_TIMEOUT', { message }), ip: silent ?? null }
}

async function connectTcpTo(
  ip: string,
  port: number,
  { signal }: Attempt,
  buffers: ReadBuffers,
): Promise<End> {
  const socket = connectSocket(ip, port, buffers)
  const failure = await connected(socket.raw, ip, port, signal)
  return failure === null ? { connection: socket } : { failure }
}

async function connectTlsTo(
  { host, port }: DialPlan,
  ip: string,
  { signal, progressed }: Attempt,
  secureContext: SecureContext,
  onTcp: () => void,
): Promise<End> {
  const tcp = connectTcp({ host: ip, port, allowHalfOpen: true, noDelay: true, ...TCP_KEEP_ALIVE })
  const failure = await connected(tcp, ip, port, signal)
  if (failure !== null) return { failure }
  progressed()
  onTcp()
  const named = parseIp(host) === null
  const socket = connectTls({
    socket: tcp,
    secureContext,
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
    // without a server name (RFC 6066, section 3), the certificate is checked against `host`
    ...(named ? { servername: host } : { host }),
  })
  return new Promise((resolve) => {
    const end = (result: End) => {
      signal.removeEventListener('abort', onAbort)
      socket.off('error', onError)
      socket.off('secureConnect', onSecure)
      if ('failure' in result) {
        socket.on('error', () => {})
        socket.destroy()
        tcp.destroy()
      }
      resolve(result)
    }
    const onError = (cause: Error) => end({ failure: tlsFailure(cause) })
    const onSecure = () => {
      if (socket.authorized) end({ connection: new BufferedSocket(socket, tcp) })
      else end({ failure: tlsFailure(socket.authorizationError) })
    }
    const onAbort = () => end({ failure: givenUp() })
    signal.addEventListener('abort', onAbort)
    socket.on('error', onError)
    socket.on('secureConnect', onSecure)
  })
}

/** Null once the socket has reached the exact address; else the socket is destroyed. */
function connected(
  socket: Socket,
  ip: string,
  port: number,
  signal: AbortSignal,
): Promise<Refused | null> {
  return new Promise((resolve) => {
    const end = (failure: Refused | null) => {
      signal.removeEventListener('abort', onAbort)
      socket.off('error', onError)
      socket.off('connect', onConnect)
      if (failure !== null) {
        socket.on('error', () => {})
        socket.destroy()
      }
      resolve(failure)
    }
    const onError = (cause: Error) =>
      end(
        refuse(
          'dial',
          saysNoDescriptors(cause) ? 'MESH_GATEWAY_NO_DESCRIPTORS' : 'MESH_EGRESS_UNREACHABLE',
          { cause },
        ),
      )
    const onConnect = () => {
      const reached = parseIp(socket.remoteAddress ?? '')
      end(
        reached !== null && formatIp(reached) === ip && socket.remotePort === port
          ? null
          : refuse('dial', 'MESH_EGRESS_ADDRESS_REFUSED', {
              message: 'the connection went elsewhere than to the judged address',
            }),
      )
    }
    const onAbort = () => end(givenUp())
    signal.addEventListener('abort', onAbort)
    socket.on('error', onError)
    socket.on('connect', onConnect)
  })
}

/** Never reported: the race is over, or continues without this attempt. */
function givenUp(): Refused {
  return refuse('dial', 'MESH_EGRESS_TIMEOUT')
}

/** Node's code names the fault of a certificate, e.g. `CERT_HAS_EXPIRED`; it contains nothing that the peer sent. */
function tlsFailure(cause: unknown): Refused {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
  const certificate = /CERT|ALTNAME|SIGNATURE|ISSUER|CA_|PURPOSE|CHAIN/.test(code)
  const what = certificate
    ? 'the certificate of the destination is not to be trusted'
    : 'the TLS handshake with the destination failed'
  return refuse(certificate ? 'tls' : 'dial', 'MESH_EGRESS_UPSTREAM_TLS', {
    message: `${what} (${code.slice(0, 60)})`,
    cause,
  })
}
