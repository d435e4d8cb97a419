/**
 * Judges what a client first says in a tunnel: TLS must name the host that CONNECT named, or the tunnel would lead elsewhere than
 * where policy looked (domain fronting). On port 443 nothing but TLS passes.
 */
import type { ErrorCode } from '@clawmesh/proto'
import { canonicalHost } from '../target/canonical-host.ts'
import type { Target } from '../target/target.ts'
import { readClientHello } from './client-hello.ts'

export type FirstBytesVerdict = 'more' | 'pass' | ErrorCode

/** True where only TLS is let through: nothing flows before the ClientHello has been judged. */
export function mustBeTls(target: Target): boolean {
  return target.port === 443
}

/** @param bytes everything that the client has sent so far. */
export function judgeFirstBytes(bytes: Buffer, target: Target): FirstBytesVerdict {
  const hello = readClientHello(bytes)
  switch (hello.kind) {
    case 'more':
      return 'more'
    case 'not-tls':
      return mustBeTls(target) ? 'MESH_EGRESS_NOT_TLS' : 'pass'
    case 'malformed':
      return 'MESH_EGRESS_NOT_TLS'
    case 'hello':
      return namesTarget(hello.serverName, target) ? 'pass' : 'MESH_EGRESS_SNI_MISMATCH'
  }
}

/** An IP literal has no server name (RFC 6066, section 3); some clients send it all the same. */
function namesTarget(serverName: string | null, target: Target): boolean {
  if (serverName === null) return target.isIp
  const bare = target.isIp && serverName.includes(':') ? `[${serverName}]` : serverName
  const host = canonicalHost(bare)
  return typeof host !== 'string' && host.name === target.host
}
