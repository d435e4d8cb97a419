/**
 * Judges the first bytes of a client in a tunnel: TLS must name the host of CONNECT, or the tunnel would reach another
 * host than policy allowed (domain fronting). On some ports, 443 by default, only TLS passes.
 */
import type { ErrorCode } from '@clawmesh/proto'
import { canonicalHost } from '../../net/host.ts'
import type { TunnelTls } from '../../policy/decide/decision.ts'
import type { Target } from '../request.ts'
import { readClientHello } from './client-hello.ts'

/**
 * The names that providers show in place of the real hosts (the public_name of their ECHConfig); they have no other
 * use.
 */
const ECH_PUBLIC_NAMES: ReadonlySet<string> = Object.freeze(
  new Set(['cloudflare-ech.com', 'public.tls-ech.dev', 'cover.defo.ie']),
)

/** `clear`: it is not TLS, and clear-text.ts judges it. */
export type FirstBytesVerdict = 'more' | 'pass' | 'clear' | ErrorCode

/** True where only TLS passes: nothing flows before the ClientHello has been judged. */
export function mustBeTls(target: Target, rules: TunnelTls): boolean {
  return rules.ports.has(target.port) || rules.clearText === 'refuse'
}

/** True for a tunnel to an ECH public name, which can hide any host, unless policy allows that. */
export function leadsBehindEch(target: Target, rules: TunnelTls): boolean {
  if (target.form !== 'connect' || !ECH_PUBLIC_NAMES.has(target.host)) return false
  return !rules.withoutEch && !rules.echOuterNames.has(target.host)
}

/**
 * @param bytes all bytes that the client has sent so far
 * @param withoutServerName what the rule that allows the destination says about a ClientHello without a server name
 */
export function judgeFirstBytes(
  bytes: Buffer,
  target: Target,
  rules: TunnelTls,
  withoutServerName: boolean,
): FirstBytesVerdict {
  const hello = readClientHello(bytes)
  switch (hello.kind) {
    case 'more':
      return 'more'
    case 'not-tls':
      if (mustBeTls(target, rules)) return 'MESH_EGRESS_NOT_TLS'
      return rules.clearText === 'any' ? 'pass' : 'clear'
    case 'malformed':
      return 'MESH_EGRESS_NOT_TLS'
    case 'hello':
      if (hello.ech && rules.withoutEch) return 'MESH_EGRESS_ECH'
      if (hello.serverName === null)
        return target.isIp || mayBeNameless(rules, withoutServerName)
          ? 'pass'
          : 'MESH_EGRESS_SNI_MISMATCH'
      if (namesTarget(hello.serverName, target)) return 'pass'
      return hello.ech && isOuterName(hello.serverName, rules) ? 'pass' : 'MESH_EGRESS_SNI_MISMATCH'
  }
}

function mayBeNameless({ noServerName }: TunnelTls, byRule: boolean): boolean {
  return noServerName === 'by-rule' ? byRule : noServerName === 'allow'
}

/** An IP literal must not be a server name (RFC 6066, section 3); some clients send one all the same. */
function namesTarget(serverName: string, target: Target): boolean {
  const bare = target.isIp && serverName.includes(':') ? `[${serverName}]` : serverName
  const host = canonicalHost(bare)
  return typeof host !== 'string' && host.name === target.host
}

/** The hidden host behind an outer name is unknown, so policy must name it. */
function isOuterName(serverName: string, { echOuterNames }: TunnelTls): boolean {
  const host = canonicalHost(serverName)
  return typeof host !== 'string' && echOuterNames.has(host.name)
}
