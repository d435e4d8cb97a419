/**
 * Parses the route of a call from `:authority` or `x-mesh-target`. Strict: one spelling, no user information, no
 * addresses. A name that is neither a peer's nor the gateway's is refused, never guessed.
 */
import { MeshError, type Peer, parsePeerName } from '@clawmesh/proto'

export type Route =
  | { readonly kind: 'self' }
  | {
      readonly kind: 'peer'
      readonly peer: Peer
      /** The full name, lower case. */
      readonly host: string
      /** Null: DNS gives the port. */
      readonly port: number | null
      /** Host and port together. */
      readonly key: string
    }

export type PeerRoute = Extract<Route, { kind: 'peer' }>

export interface RouteNames {
  readonly meshDomain: string
  /** The gateway's own names, lower case. */
  readonly own: ReadonlySet<string>
}

const TARGET = /^([a-z0-9.-]+)(?::([1-9]\d{0,4}))?$/
const SELF: Route = Object.freeze({ kind: 'self' })

/** @throws MeshError MESH_ROUTE_MALFORMED, MESH_ROUTE_UNKNOWN */
export function routeOf(target: string, names: RouteNames): Route {
  const [, host, digits] = TARGET.exec(target.toLowerCase()) ?? []
  const port = digits === undefined ? null : Number(digits)
  if (host === undefined || (port !== null && port > 65_535))
    throw new MeshError('MESH_ROUTE_MALFORMED')
  if (names.own.has(host)) return SELF
  const peer = parsePeerName(host, names.meshDomain)
  if (peer === null)
    throw new MeshError('MESH_ROUTE_UNKNOWN', undefined, {
      hint: `peer names are <agent>.<tenant>.${names.meshDomain}${names.own.size === 0 ? '' : `; this gateway is ${[...names.own].join(', ')}`}`,
    })
  return { kind: 'peer', peer, host, port, key: port === null ? host : `${host}:${port}` }
}
