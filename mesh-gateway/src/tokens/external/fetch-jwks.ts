/**
 * Fetches the JWKS of an external issuer: directly, ignoring any proxy in the environment, over verified TLS, without
 * redirects, and within limits of size and time. Loaded only when external issuers are configured, since undici takes
 * megabytes.
 */
import net, { type LookupFunction } from 'node:net'
import tls, { type SecureContext } from 'node:tls'
import { MeshError, type Secret } from '@clawmesh/proto'
import { Agent, type buildConnector } from 'undici'
import { readBounded } from '../../net/read-bounded.ts'
import type { Resolver } from '../../resolve/resolver.ts'
import { issuerUnavailable } from './issuer-unavailable.ts'

export interface FetchJwksOptions {
  readonly uri: string
  /** The trusted roots. */
  readonly trust: SecureContext
  readonly resolver: Pick<Resolver, 'addresses'>
  /** The bearer token to ask with. Default: none. */
  readonly token?: Secret<string> | null
  /** Total timeout, in milliseconds. Default 5000. */
  readonly timeoutMs?: number
  /** Aborts it. */
  readonly signal?: AbortSignal
}

export interface FetchedJwks {
  readonly text: string
  /** The Cache-Control header as received; null without one. */
  readonly cacheControl: string | null
}

const TIMEOUT_MS = 5000
const MAX_BODY_BYTES = 256 * 1024
const MAX_HEADER_BYTES = 16 * 1024

/** @throws MeshError MESH_TOKEN_ISSUER_UNAVAILABLE for any failure */
export async function fetchJwks(options: FetchJwksOptions): Promise<FetchedJwks> {
  const { uri, trust, resolver, token = null, timeoutMs = TIMEOUT_MS } = options
  const url = new URL(uri)
  const late = AbortSignal.timeout(timeoutMs)
  const signal = options.signal === undefined ? late : AbortSignal.any([late, options.signal])
  // one per fetch, minutes apart: it uses the current roots, and leaves no connection open
  const agent = new Agent({
    connect: connectBy(trust, resolver, signal),
    maxHeaderSize: MAX_HEADER_BYTES,
  })
  try {
    const { statusCode, headers, body } = await agent.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: 'GET',
      headers: {
        accept: 'application/jwk-set+json, application/json',
        'accept-encoding': 'identity',
        ...(token === null ? {} : { authorization: `Bearer ${token.reveal()}` }),
      },
      signal,
    })
    if (statusCode !== 200)
      throw issuerUnavailable(`its JWKS was answered with status ${statusCode}`)
    const bytes = await readBounded(body, MAX_BODY_BYTES)
    if (bytes === null) throw issuerUnavailable(`its JWKS has more than ${MAX_BODY_BYTES} bytes`)
    const control = headers['cache-control']
    const text = bytes.toString('utf8')
    return { text, cacheControl: Array.isArray(control) ? control.join(',') : (control ?? null) }
  } catch (error) {
    if (error instanceof MeshError) throw error
    const what = late.aborted
      ? `its JWKS did not come within ${timeoutMs / 1000} seconds`
      : `its JWKS cannot be fetched (${codeOf(error)})`
    throw issuerUnavailable(what, { cause: error })
  } finally {
    // also stops the rest of a body that is too long
    await agent.destroy()
  }
}

/** undici's own connector ignores the signal, and checks its timeout once a second. */
function connectBy(
  trust: SecureContext,
  resolver: Pick<Resolver, 'addresses'>,
  signal: AbortSignal,
): buildConnector.connector {
  return ({ protocol, hostname: host, port, servername }, done) => {
    const secure = protocol === 'https:'
    const lookup = secure ? lookupBy(resolver) : onThisMachine
    const socket = secure
      ? tls.connect({
          ...{ host, lookup, secureContext: trust, port: Number(port) || 443 },
          // explicit: otherwise NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment would turn it off
          rejectUnauthorized: true,
          ...(servername ? { servername } : {}),
        })
      : net.connect({ host, lookup, port: Number(port) || 80 })
    const end = () => socket.destroy(new Error('aborted'))
    if (signal.aborted) end()
    signal.addEventListener('abort', end, { once: true })
    let told = false
    // stays: undici adds its own listener a moment later
    socket.on('error', (error) => {
      if (!told) done(error, null)
      told = true
    })
    socket.once('close', () => signal.removeEventListener('abort', end))
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      told = true
      done(null, socket)
    })
  }
}

/** Only `localhost` may do without TLS, and it is never looked up in DNS (RFC 6761, section 6.3). */
const onThisMachine: LookupFunction = (_, { all }, done) => {
  if (all === true)
    done(null, [
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ])
  else done(null, '127.0.0.1', 4)
}

/** Uses the gateway's resolver. */
function lookupBy(resolver: Pick<Resolver, 'addresses'>): LookupFunction {
  return (host, options, done) => {
    resolver.addresses(host).then(
      (found) => {
        const all = found.map(({ ip }) => ({ address: ip, family: ip.includes(':') ? 6 : 4 }))
        const [first] = all
        if (options.all === true) done(null, all)
        else done(null, first?.address ?? '', first?.family ?? 4)
      },
      (error: unknown) => done(error instanceof Error ? error : new Error('dns'), ''),
    )
  }
}

/** `ECONNREFUSED`, `CERT_HAS_EXPIRED`, `dns: not-found` and the like. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
