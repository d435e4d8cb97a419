/**
 * Caches the addresses of one peer for the time that DNS allows; keeps the last answer while DNS fails. A peer in
 * delegation.peers has the addresses of that entry, from the moment that the configuration names it.
 */

import { type Located, locate, Unresolved } from './locate.ts'
import type { UpstreamsOptions } from './upstreams-options.ts'

export interface Locating {
  /** The last answer, while it is valid. */
  current(): Located | null
  /** Asks DNS, once for all concurrent callers. @throws MeshError as `locate` does */
  find(): Promise<Located>
  readonly underWay: boolean
  /** The last answer, valid or not. */
  readonly last: Located | null
}

export interface LocatingOptions
  extends Pick<UpstreamsOptions, 'resolver' | 'metrics' | 'log' | 'staticPeers'> {
  readonly host: string
  readonly port: number | null
  readonly peerPorts: readonly number[]
  /** Called with each new answer. */
  onFound(located: Located): void
}

/** How long a stale answer is used before DNS is asked again, in milliseconds. */
const STALE_MS = 1_000

export function createLocating(options: LocatingOptions): Locating {
  const { resolver, metrics, log, host, port, peerPorts, onFound, staticPeers } = options
  let located: Located | null = null
  let expires = 0
  let locating: Promise<Located> | null = null
  /** The entry of the configuration that `located` is of; null: DNS alone. */
  let source: readonly string[] | null = null

  const configured = () => staticPeers?.()?.[host] ?? null

  /** True while `located` is of the source that counts now. */
  function isOfSource(): boolean {
    const entry = configured()
    if (entry === source) return true
    if (entry?.join() !== source?.join()) return false
    source = entry
    return true
  }

  function keep(found: Located, ms: number): Located {
    located = found
    expires = performance.now() + ms
    return found
  }

  async function ask(): Promise<Located> {
    const started = performance.now()
    // an address of DNS never stands in for one of the configuration, nor the other way round
    if (!isOfSource()) located = null
    source = configured()
    try {
      const found = await locate(resolver, host, port, peerPorts, source)
      if (source === null) metrics.dns('delegation', (performance.now() - started) / 1000)
      keep(found, found.ttlMs)
      onFound(found)
      return found
    } catch (cause) {
      if (located === null || !(cause instanceof Unresolved) || cause.gone) throw cause
      // DNS fails, not the peer: use its last answer, and ask again soon
      log.warn({ peer: host, err: cause }, 'DNS does not answer; its last answer is used')
      metrics.dnsStale('delegation')
      return keep(located, STALE_MS)
    } finally {
      locating = null
    }
  }

  const current = () => (expires > performance.now() && isOfSource() ? located : null)
  return {
    current,
    async find() {
      const known = current()
      if (known !== null) return known
      locating ??= ask()
      return await locating
    },
    get last() {
      return located
    },
    get underWay() {
      return locating !== null
    },
  }
}
