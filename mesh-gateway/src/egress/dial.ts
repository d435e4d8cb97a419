/**
 * Connects to what was judged, and to nothing else. A DialPlan comes from an allowed decision and judged addresses only, and the
 * address that the socket really reached is compared with the one that was judged. Where the plan says so, TLS follows, and the
 * certificate must be good for the very host that policy looked at.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext } from 'node:tls'
import { formatIp, parseIp } from '../net/ip.ts'
import type { JudgedAddresses } from '../net/judge-addresses.ts'
import type { EgressDecision } from '../policy/decision.ts'
import type { ReadBuffers } from './read-buffers.ts'
import { type Refused, refuse } from './refused.ts'
import type { Target } from './target/target.ts'
import { connectWire, Wire } from './wire.ts'

export type { DialPlan }

export interface Dialled {
  readonly wire: Wire
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

/** @throws TypeError when the decision was not to let it through, or the addresses were judged for another port. */
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
export function speaksTls({ form, scheme }: Target, decision: EgressDecision): boolean {
  return (form === 'relay' ? decision.scheme : scheme) === 'https'
}

export interface DialOptions {
  /** All addresses together, in milliseconds. */
  readonly dialMs: number
  /** Whose certificates are believed, when the plan asks for TLS. */
  trust(): SecureContext
  readonly buffers: ReadBuffers
}

/** Tries the addresses in turn, sharing out the time among those that are left. */
export async function dial(
  plan: DialPlan,
  { dialMs, trust, buffers }: DialOptions,
): Promise<Dialled | Refused> {
  const deadline = performance.now() + dialMs
  let failure: Refused | null = null
  for (const [index, ip] of plan.ips.entries()) {
    const leftMs = deadline - performance.now()
    if (leftMs <= 0) break
    const shareMs = leftMs / (plan.ips.length - index)
    const result = plan.tls
      ? await dialTls(plan, ip, shareMs, trust())
      : await dialOne(ip, plan.port, shareMs, buffers)
    if ('wire' in result) return result
    failure = result
  }
  return failure ?? refuse('dial', 'MESH_EGRESS_TIMEOUT', { message: 'connecting took too long' })
}

async function dialOne(
  ip: string,
  port: number,
  timeoutMs: number,
  buffers: ReadBuffers,
): Promise<Dialled | Refused> {
  const wire = connectWire(ip, port, buffers)
  const failure = await connected(wire.socket, ip, port, timeoutMs)
  return failure ?? { wire, ip }
}

async function dialTls(
  { host, port }: DialPlan,
  ip: string,
  timeoutMs: number,
  secureContext: SecureContext,
): Promise<Dialled | Refused> {
  const deadline = performance.now() + timeoutMs
  const tcp = connectTcp({ host: ip, port, allowHalfOpen: true, noDelay: true })
  const failure = await connected(tcp, ip, port, timeoutMs)
  if (failure !== null) return failure
  const named = parseIp(host) === null
  const socket = connectTls({
    socket: tcp,
    secureContext,
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
    // the certificate is checked against `host` where there is no server name (RFC 6066, section 3)
    ...(named ? { servername: host } : { host }),
  })
  return new Promise((resolve) => {
    const end = (result: Dialled | Refused) => {
      clearTimeout(timer)
      socket.off('error', onError)
      socket.off('secureConnect', onSecure)
      if (!('wire' in result)) {
        socket.on('error', () => {})
        socket.destroy()
        tcp.destroy()
      }
      resolve(result)
    }
    const onError = (cause: Error) => end(tlsFailure(cause))
    const onSecure = () => {
      if (socket.authorized) end({ wire: new Wire(socket, tcp), ip })
      else end(tlsFailure(socket.authorizationError))
    }
    const onSlow = () =>
      end(
        refuse('dial', 'MESH_EGRESS_TIMEOUT', {
          message: 'the TLS handshake was not done in time',
        }),
      )
    const timer = setTimeout(onSlow, deadline - performance.now())
    socket.on('error', onError)
    socket.on('secureConnect', onSecure)
  })
}

/** Null once the socket has reached the very address; else it has been destroyed. */
function connected(
  socket: Socket,
  ip: string,
  port: number,
  timeoutMs: number,
): Promise<Refused | null> {
  return new Promise((resolve) => {
    const end = (failure: Refused | null) => {
      clearTimeout(timer)
      socket.off('error', onError)
      socket.off('connect', onConnect)
      if (failure !== null) {
        socket.on('error', () => {})
        socket.destroy()
      }
      resolve(failure)
    }
    const onError = (cause: Error) => end(refuse('dial', 'MESH_EGRESS_UNREACHABLE', { cause }))
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
    const timer = setTimeout(
      () =>
        end(refuse('dial', 'MESH_EGRESS_TIMEOUT', { message: 'the destination did not connect' })),
      timeoutMs,
    )
    socket.on('error', onError)
    socket.on('connect', onConnect)
  })
}

/** Node's code says what is wrong with a certificate, e.g. `CERT_HAS_EXPIRED`; nothing that the peer sent is in it. */
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
