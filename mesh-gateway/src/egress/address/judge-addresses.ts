/**
 * Judges every address that a name resolved to. One that is not allowed refuses the whole answer: an answer that mixes
 * public and private addresses is an attack or a mistake, and either way not ours to choose from.
 */
import type { AddressRules } from '../../policy/decision.ts'
import type { ListenAddress } from '../../port.ts'
import { formatIp, type IpBytes, parseIp } from '../target/ip-literal.ts'
import { type Cidr, contains, isSingle, parseCidr } from './cidr.ts'
import { embeddedIpv4 } from './embedded-ipv4.ts'
import { isOwnAddress } from './own-addresses.ts'
import { METADATA_ADDRESSES, SPECIAL_RANGES } from './special-ranges.ts'

export interface CompiledAddressRules {
  readonly allow: readonly Cidr[]
  readonly deny: readonly Cidr[]
}

/** Addresses that passed. Only `judgeAddresses` makes them. */
export type { JudgedAddresses }

export interface RefusedAddress {
  /** Canonical; null when the resolver gave something that is no address. */
  readonly address: string | null
  /** Which range or rule refused it. */
  readonly rule: string
}

class JudgedAddresses {
  readonly #port: number
  readonly ips: readonly string[]

  constructor(ips: readonly string[], port: number) {
    this.ips = Object.freeze([...ips])
    this.#port = port
  }

  /** An address is judged together with its port. */
  get port(): number {
    return this.#port
  }
}

const SPECIAL = Object.freeze(SPECIAL_RANGES.map(parseCidr))
const METADATA = Object.freeze(METADATA_ADDRESSES.map(parseCidr))
/** All of IPv6 that IANA has given out for the internet; NAT64 is judged by what it embeds. */
const GLOBAL_IPV6 = Object.freeze(['2000::/3', '64:ff9b::/96'].map(parseCidr))

/** @throws TypeError on a range that is none. */
export function compileAddressRules(rules: AddressRules): CompiledAddressRules {
  return { allow: rules.allowCidrs.map(parseCidr), deny: rules.denyCidrs.map(parseCidr) }
}

/** @param ips as a resolver printed them, or the IP literal of the target. Canonical ones come back, each once. */
export function judgeAddresses(
  ips: readonly string[],
  port: number,
  rules: CompiledAddressRules,
  ownListeners: readonly ListenAddress[],
): JudgedAddresses | RefusedAddress {
  const judged = new Set<string>()
  for (const ip of ips) {
    const address = parseIp(ip)
    if (address === null) return { address: null, rule: 'not an address' }
    for (const each of [address, ...embeddedIpv4(address)]) {
      const rule = isOwnAddress(each, port, ownListeners)
        ? 'the gateway itself'
        : refusingRule(each, rules)
      if (rule !== null) return { address: formatIp(address), rule }
    }
    judged.add(formatIp(address))
  }
  if (judged.size === 0) return { address: null, rule: 'no address' }
  return new JudgedAddresses([...judged], port)
}

function refusingRule(address: IpBytes, rules: CompiledAddressRules): string | null {
  const denied = rules.deny.find((cidr) => contains(cidr, address))
  if (denied !== undefined) return `denyCidrs ${denied.text}`
  const allowed = rules.allow.filter((cidr) => contains(cidr, address))
  const metadata = METADATA.find((cidr) => contains(cidr, address))
  if (metadata !== undefined) return allowed.some(isSingle) ? null : `metadata ${metadata.text}`
  if (allowed.length > 0) return null
  const special = SPECIAL.find((cidr) => contains(cidr, address))
  if (special !== undefined) return `special ${special.text}`
  if (address.length === 16 && !GLOBAL_IPV6.some((cidr) => contains(cidr, address)))
    return 'not global unicast'
  return null
}
