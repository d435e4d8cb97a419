/**
 * Recognises the gateway's own listeners, which no rule can open: through them an agent would reach the gateway with
 * the gateway's own address.
 */
import { networkInterfaces } from 'node:os'
import { formatIp, type IpBytes, parseIp } from './ip.ts'
import type { ListenAddress } from './port.ts'

/** True when the address and port belong to one of the listeners. */
export function isOwnAddress(
  address: IpBytes,
  port: number,
  listeners: readonly ListenAddress[],
): boolean {
  const samePort = listeners.filter((listener) => listener.port === port)
  if (samePort.length === 0) return false
  if (isThisHost(address)) return true
  const text = formatIp(address)
  return samePort.some(({ host }) => {
    const own = parseIp(host)
    if (own === null) return localAddresses().has(text)
    return own.every((byte) => byte === 0) ? localAddresses().has(text) : formatIp(own) === text
  })
}

/** 0.0.0.0/8, 127.0.0.0/8, :: and ::1 all mean this machine. */
function isThisHost(address: IpBytes): boolean {
  if (address.length === 4) return address[0] === 127 || address[0] === 0
  return address.subarray(0, 15).every((byte) => byte === 0) && (address[15] ?? 0) <= 1
}

function localAddresses(): ReadonlySet<string> {
  const found = new Set<string>()
  for (const entries of Object.values(networkInterfaces()))
    for (const entry of entries ?? []) {
      const bytes = parseIp(entry.address)
      if (bytes !== null) found.add(formatIp(bytes))
    }
  return found
}

/** Where the ports of a gateway are. */
export interface PortAddresses {
  readonly egress: ListenAddress
  readonly delegation: ListenAddress
  readonly admin: ListenAddress
  /** Null without one. */
  readonly health: ListenAddress | null
}

/** The listeners of a gateway, by name. */
export interface OwnAddresses {
  all(): readonly ListenAddress[]
  /** The listener is open at this address. */
  opened(name: string, address: ListenAddress): void
}

/** @param configured counts for each until it is open: meanwhile no agent may reach it either */
export function createOwnAddresses(
  configured: Readonly<Record<string, ListenAddress>>,
): OwnAddresses {
  const addresses = new Map(Object.entries(configured))
  return {
    all: () => [...addresses.values()],
    opened: (name, address) => void addresses.set(name, address),
  }
}
