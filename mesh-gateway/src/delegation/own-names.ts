/** The names that mean the gateway itself: those of its certificate, the configured ones, and localhost. */
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { parsePeerName } from '@clawmesh/proto'
import type { RouteNames } from './route.ts'

/** The current names; computed again only when certificate or configuration change. */
export function createRouteNames(options: {
  readonly identity: IdentityStore
  readonly meshDomain: string
  readonly names?: (() => readonly string[]) | undefined
}): () => RouteNames {
  const { identity, meshDomain } = options
  let made: { generation: number; configured: readonly string[]; names: RouteNames } | null = null
  const none: readonly string[] = []

  return () => {
    const snapshot = identity.current()
    const configured = options.names?.() ?? none
    if (made !== null && made.generation === snapshot.generation && made.configured === configured)
      return made.names
    // a certificate that covers names of peers does not make the gateway those peers
    const own = [...snapshot.dnsNames, ...configured, 'localhost'].filter(
      (name) => !name.startsWith('*.') && parsePeerName(name, meshDomain) === null,
    )
    made = { generation: snapshot.generation, configured, names: { meshDomain, own: new Set(own) } }
    return made.names
  }
}
