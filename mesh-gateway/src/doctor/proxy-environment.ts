/**
 * Checks proxy variables: gRPC clients obey them, and would send calls for the mesh, with credentials, through a proxy.
 */
import { type CheckResult, result } from './finding.ts'

const PROXIES = ['grpc_proxy', 'https_proxy', 'http_proxy', 'all_proxy']

export interface ProxyEnvironmentFacts {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly meshDomain: string
  /** The hosts of calls: those of the listeners. */
  readonly hosts: readonly string[]
}

export function checkProxyEnvironment(facts: ProxyEnvironmentFacts): CheckResult {
  const { env, meshDomain, hosts } = facts
  const read = (name: string) => env[name] || env[name.toUpperCase()] || ''
  const set = PROXIES.filter((name) => read(name) !== '')
  const excepted = read('no_proxy')
  const needed = [...new Set([`.${meshDomain}`, ...hosts])]
  const missing = needed.filter((host) => !isExcepted(host, excepted))
  const about = set.length === 0 ? 'none is set' : `${set.join(', ')} with no_proxy`
  if (set.length === 0 || missing.length === 0) return result('proxy variables', about)
  const value = [...excepted.split(',').filter((one) => one !== ''), ...missing].join(',')
  return result('proxy variables', about, {
    what: `${set.map((name) => `${name} is ${shown(read(name))}`).join(', ')}, and no_proxy lacks ${missing.join(', ')}`,
    why: 'grpcurl, curl and other clients started here go to the mesh through that proxy and fail in the handshake',
    todo: `export no_proxy=${value} NO_PROXY=${value}`,
  })
}

/** As curl and Go read it: names and all below them, with or without a leading dot; `*` is all. */
function isExcepted(host: string, list: string): boolean {
  const name = host.replace(/^\./, '').toLowerCase()
  return list.split(',').some((entry) => {
    const one = entry
      .trim()
      .toLowerCase()
      .replace(/^\*?\./, '')
    return one === '*' || (one !== '' && (name === one || name.endsWith(`.${one}`)))
  })
}

/** Never shows user and password. */
function shown(proxy: string): string {
  const url = URL.canParse(proxy) ? new URL(proxy) : null
  return url === null || url.host === '' ? 'set' : url.host
}
