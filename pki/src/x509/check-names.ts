/** Name constraints (RFC 5280, section 4.2.1.10): finds names of a certificate that a CA above it does not permit. */
import type { GeneralNames } from './general-names.ts'
import { formatIp, ipInRange } from './ip-range.ts'
import type { NameConstraints } from './parse-certificate.ts'

/** As in OpenSSL: bounds the work on a hostile certificate. */
const MAX_COMPARISONS = 1 << 20

/** The refused names, in words; empty when all are permitted. */
export function namesRefused(names: GeneralNames, constraints: NameConstraints): string[] {
  const { permitted, excluded } = constraints
  if (count(names) * (count(permitted) + count(excluded)) > MAX_COMPARISONS)
    return ['that many names']
  const judge = <Name, Base>(
    each: readonly Name[],
    within: readonly Base[],
    outside: readonly Base[],
    matches: (name: Name, base: Base) => boolean,
    show: (name: Name) => string,
  ) =>
    each
      .filter(
        (name) =>
          outside.some((base) => matches(name, base)) ||
          (within.length > 0 && !within.some((base) => matches(name, base))),
      )
      .map(show)
  const constrainsOthers = permitted.others.length + excluded.others.length > 0
  return [
    ...judge(names.dnsNames, permitted.dnsNames, excluded.dnsNames, dnsWithin, (dns) => dns),
    ...judge(names.uris, permitted.uris, excluded.uris, uriWithin, (uri) => uri),
    ...judge(names.ipAddresses, permitted.ipAddresses, excluded.ipAddresses, ipInRange, formatIp),
    // kinds of names that are not checked here are refused when they are constrained
    ...(constrainsOthers ? names.others : []),
  ]
}

function count({ uris, dnsNames, ipAddresses }: GeneralNames): number {
  return uris.length + dnsNames.length + ipAddresses.length
}

function dnsWithin(name: string, base: string): boolean {
  return base === '' || hostWithin(name.toLowerCase(), base.toLowerCase(), true)
}

function uriWithin(uri: string, base: string): boolean {
  const host = /^[a-z][a-z0-9+.-]*:\/\/([^/?#@:]+)(?:[/?#]|$)/i.exec(uri)?.[1]
  return host !== undefined && hostWithin(host.toLowerCase(), base.toLowerCase(), false)
}

function hostWithin(host: string, base: string, below: boolean): boolean {
  if (base.startsWith('.')) return host.endsWith(base)
  return host === base || (below && host.endsWith(`.${base}`))
}
