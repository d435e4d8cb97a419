/**
 * Connects to what was judged, and to nothing else. A DialPlan comes from an allowed decision and judged addresses only, and the
 * address that the socket really reached is compared with the one that was judged.
 */
import type { EgressDecision } from '../policy/decision.ts'
import type { JudgedAddresses } from './address/judge-addresses.ts'
import { type Refused, refuse } from './refused.ts'
import { formatIp, parseIp } from './target/ip-literal.ts'
import type { Target } from './target/target.ts'
import { connectWire, type Wire } from './wire.ts'

export type { DialPlan }

export interface Dialled {
  readonly wire: Wire
  readonly ip: string
}

class DialPlan {
  readonly host: string
  readonly #addresses: JudgedAddresses

  constructor(host: string, addresses: JudgedAddresses) {
    this.host = host
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
  return new DialPlan(target.host, addresses)
}

/** Tries the addresses in turn, sharing out the time among those that are left. */
export async function dial(plan: DialPlan, timeoutMs: number): Promise<Dialled | Refused> {
  const deadline = performance.now() + timeoutMs
  let failure: Refused | null = null
  for (const [index, ip] of plan.ips.entries()) {
    const leftMs = deadline - performance.now()
    if (leftMs <= 0) break
    const result = await dialOne(ip, plan.port, leftMs / (plan.ips.length - index))
    if ('wire' in result) return result
    failure = result
  }
  return failure ?? refuse('dial', 'MESH_EGRESS_TIMEOUT', { message: 'connecting took too long' })
}

function dialOne(ip: string, port: number, timeoutMs: number): Promise<Dialled | Refused> {
  return new Promise((resolve) => {
    const wire = connectWire(ip, port)
    const { socket } = wire
    const end = (result: Dialled | Refused) => {
      clearTimeout(timer)
      socket.off('error', onError)
      socket.off('connect', onConnect)
      if (!('wire' in result)) wire.destroy()
      resolve(result)
    }
    const onError = (cause: Error) => end(refuse('dial', 'MESH_EGRESS_UNREACHABLE', { cause }))
    const onConnect = () => {
      const reached = parseIp(socket.remoteAddress ?? '')
      end(
        reached !== null && formatIp(reached) === ip && socket.remotePort === port
          ? { wire, ip }
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
