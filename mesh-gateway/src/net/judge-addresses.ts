/**
 * Judges every address of a resolved name. One refused address refuses the whole answer: an answer that mixes public
 * and private addresses is an attack or a mistake, and the gateway must not choose from it.
 */

import type { AddressRules } from './address-rules.ts'
import { cidr } from './cidr.ts'
import { embeddedIpv4 } from './embedded-ipv4.ts'
import { formatIp, type IpBytes, parseIp } from './ip.ts'
import { isOwnAddress } from './own-addresses.ts'
import type { ListenAddress } from './port.ts'
import { rangeTable } from './range-table.ts'
import { isMetadataName, METADATA_ADDRESSES, SPECIAL_RANGES } from './special-ranges.ts'

/** Addresses that passed. Only `judgeAddresses` creates them. */
export type { JudgedAddresses }

export interface RefusedAddress {
  /** Canonical; null when the resolver returned no valid address. */
  readonly address: string | null
  /** The range or rule that refused it. */
  readonly rule: string
}

class JudgedAddresses {
  readonly #port: number
  readonly ips: readonly string[]

  constructor(ips: readonly string[], port: number) {
    this.ips = Object.freeze([...ips])
    this.#port = port
  }

  /** Addresses are judged together with their port. */
  get port(): number {
    return this.#port
  }
}

const SPECIAL = rangeTable(SPECIAL_RANGES.map(cidr))
const METADATA = rangeTable(METADATA_ADDRESSES.map(cidr))
/** All of IPv6 that IANA has assigned to the internet; NAT64 is judged by its embedded address. */
const GLOBAL_IPV6 = rangeTable(['2000::/3', '64:ff9b::/96'].map(cidr))

/** @param ips as printed by a resolver, or the IP literal of the target. Returns canonical ones, without duplicates. */
export function judgeAddresses(
  ips: readonly string[],
  port: number,
  rules: AddressRules,
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

/** True for an address, or a name, at which a cloud hands out credentials. No hint may recommend it. */
export function isMetadataService(host: string): boolean {
  if (isMetadataName(host)) return true
  const address = parseIp(host)
  if (address === null) return false
  return [address, ...embeddedIpv4(address)].some((each) => METADATA.find(each) !== null)
}

function refusingRule(address: IpBytes, rules: AddressRules): string | null {
  const denied = rules.deny.find(address)
  if (denied !== null) return `denyCidrs ${denied.text}`
  const metadata = METADATA.find(address)
  if (metadata !== null) return rules.allow.hasSingle(address) ? null : `metadata ${metadata.text}`
  if (rules.allow.find(address) !== null) return null
  const special = SPECIAL.find(address)
  if (special !== null) return `special ${special.text}`
  return address.length === 16 && GLOBAL_IPV6.find(address) === null ? 'not global unicast' : null
}
