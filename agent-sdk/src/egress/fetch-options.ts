/**
 * Which options `agent.fetch` takes. A name that fetch does not know means nothing to it, as the Fetch standard has it (section
 * 5.4, a dictionary), and libraries pass such names. Two kinds are refused: those that lead past the gateway, and
 * misspelt ones.
 */
import { nearest } from '@clawmesh/proto'

export type FetchInput = Parameters<typeof globalThis.fetch>[0]
export type FetchInit = NonNullable<Parameters<typeof globalThis.fetch>[1]>

/** Those of fetch that have a meaning here. */
export const FETCH_OPTIONS = Object.freeze([
  'method',
  'headers',
  'body',
  'redirect',
  'signal',
  'referrer',
  'referrerPolicy',
  'mode',
  'credentials',
  'cache',
  'integrity',
  'keepalive',
  'duplex',
  'window',
] as const)

/** Of undici, of node-fetch, and of other runtimes: each names another way to the destination. */
const WAYS_PAST: readonly string[] = ['dispatcher', 'agent', 'proxy', 'client', 'unix', 'tls']

/** Of browsers, without a meaning here, and near to names that have one. */
const HARMLESS: readonly string[] = ['priority']

/** @throws TypeError */
export function checkFetchOptions(init: object): void {
  for (const name of WAYS_PAST) {
    const value: unknown = Reflect.get(init, name)
    if (value !== undefined && value !== null && value !== false)
      throw new TypeError(`${name}: agent.fetch goes through the gateway only`)
  }
  const duplex: unknown = Reflect.get(init, 'duplex')
  if (duplex !== undefined && duplex !== 'half')
    throw new TypeError('duplex: must be half; no fetch of Node sends and receives at once')
  const known: readonly string[] = [...FETCH_OPTIONS, ...HARMLESS, ...WAYS_PAST]
  for (const name of Object.keys(init)) {
    if (known.includes(name)) continue
    const meant = nearest(name, FETCH_OPTIONS)
    if (meant !== null) throw new TypeError(`${name}: is no option of fetch; did you mean ${meant}`)
  }
}
