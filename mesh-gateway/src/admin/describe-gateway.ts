/** The facts on the status page. Public ones only: names, addresses, times, key ids. */
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import type { Config } from '../config/schema.ts'
import { formatListenAddress } from '../net/listen-address.ts'
import type { ListenAddress } from '../net/port.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import { timeInWords } from '../text/time-span.ts'
import type { KeyRing } from '../tokens/key-ring.ts'
import type { ServiceAccounts } from '../tokens/service-accounts.ts'
import { VERSION } from '../version.ts'
import type { StatusRow } from './status-page.ts'

const SHOWN_PEERS = 20

export interface StatusSources {
  readonly addresses: Readonly<Record<'egress' | 'delegation' | 'admin', ListenAddress>>
  readonly identity: IdentityStore
  readonly policy: PolicySnapshot
  readonly keyRing: KeyRing
  readonly accounts: ServiceAccounts | null
  readonly config: () => Config
}

export function describeGateway(from: StatusSources): readonly StatusRow[] {
  const { addresses, keyRing, policy } = from
  const config = from.config()
  const identity = from.identity.current()
  const reload = from.identity.lastReload()
  const rows: readonly (readonly [string, string])[] = [
    ['identity', identity.identity.id],
    ['certificate until', timeInWords(identity.notAfter)],
    [
      'certificate generation',
      `${identity.generation}, ${reload.ok ? 'read' : 'the latest reload failed'} ${timeInWords(reload.at)}`,
    ],
    ['mesh domain', config.meshDomain],
    ['static peers', staticPeers(config)],
    ['egress port', formatListenAddress(addresses.egress)],
    ['delegation port', formatListenAddress(addresses.delegation)],
    ['PROXY headers from', proxiesIn(config)],
    ['admin port', formatListenAddress(addresses.admin)],
    ['policy', `${config.policy.dir}, generation ${policy.generation}`],
    ['tenants', [...policy.tenants.keys()].join(', ') || 'none'],
    ['signing key', keyRing.active().kid],
    ['keys that verify', String(keyRing.jwks().keys.length)],
    ['service accounts', from.accounts === null ? 'off' : String(from.accounts.list().length)],
    ['token issuers', config.tokens.issuers.map(({ issuer }) => issuer).join(', ') || 'none other'],
    ['revocation list', config.revocation.list ?? 'off'],
    ['lists of CAs', config.revocation.crl ?? 'off'],
    ['audit log', config.audit.file],
    ['running since', timeInWords(new Date(Date.now() - process.uptime() * 1000))],
    ['version', `${VERSION}, Node ${process.versions.node}`],
  ]
  return rows.map(([name, value]) => ({ name, value }))
}

function proxiesIn({ egress, delegation }: Config): string {
  const listed = { egress: egress.proxyProtocol.from, delegation: delegation.proxyProtocol.from }
  const shown = Object.entries(listed).flatMap(([port, from]) =>
    from.length === 0 ? [] : [`${from.join(', ')} (${port})`],
  )
  return shown.join('; ') || 'no proxies'
}

function staticPeers({ delegation }: Config): string {
  const names = Object.keys(delegation.peers ?? {})
  if (names.length === 0) return 'none'
  const more = names.length > SHOWN_PEERS ? `, and ${names.length - SHOWN_PEERS} more` : ''
  return `${names.slice(0, SHOWN_PEERS).join(', ')}${more}`
}
