/**
 * The external issuers (trusted issuers, federated issuers) of a gateway, each with its own keys: a slow, dead or
 * hostile issuer does not affect the others. Opening waits for none of them.
 */
import type { SecureContext } from 'node:tls'
import { type Log, silentLog } from '@clawmesh/agent-sdk/mesh'
import { MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import type { ExternalIssuerConfig } from '../../config/external-issuers.ts'
import { rememberDestinations } from '../../policy/decide/allowed.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'
import type { Resolver } from '../../resolve/resolver.ts'
import type { IssuerMetrics } from '../../telemetry/issuer-metrics.ts'
import type { VerifiedEgressClaims } from '../token-grounds.ts'
import type { TokenSource } from '../token-memory.ts'
import { createExternalSource } from './external-source.ts'
import { fetchJwks } from './fetch-jwks.ts'
import { freshMs } from './fresh-ms.ts'
import { readIssuerToken, readIssuerTrust } from './issuer-files.ts'
import { type KeptKeys, keepKeys } from './keep-keys.ts'
import { createClaimMapping } from './map-claims.ts'
import { readJwks } from './read-jwks.ts'

export interface ExternalIssuersOptions {
  readonly issuers: readonly ExternalIssuerConfig[]
  readonly spiffe: SpiffeTemplate
  readonly policy: { current(): PolicySnapshot }
  /** The longest life of tokens, for an issuer without a limit of its own, in milliseconds. */
  readonly maxTtlMs: () => number
  /** The trusted roots. */
  readonly trust: () => SecureContext
  readonly resolver: Pick<Resolver, 'addresses'>
  readonly metrics?: IssuerMetrics
  readonly log?: Log
  /** Timeout of a fetch, in milliseconds. Default 5000. */
  readonly fetchMs?: number
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

export interface ExternalIssuers {
  /** By `iss`. */
  readonly sources: ReadonlyMap<string, TokenSource<VerifiedEgressClaims>>
  /** Fetches the keys of all issuers now. */
  reload(): Promise<void>
  /** Aborts running fetches. */
  close(): Promise<void>
}

const SKEW_MS = 30_000

export function openExternalIssuers(options: ExternalIssuersOptions): ExternalIssuers {
  const { spiffe, policy, now = Date.now } = options
  const closing = new AbortController()
  const allowed = rememberDestinations(policy)
  const kept = new Map<string, KeptKeys>()
  const sources = new Map<string, TokenSource<VerifiedEgressClaims>>()
  const fetching = new Set<Promise<unknown>>()
  for (const issuer of options.issuers) {
    const keys = keepKeys({
      ...(options.now === undefined ? {} : { now }),
      fetch() {
        const running = fetchKeys(issuer, options, closing.signal).finally(() =>
          fetching.delete(running),
        )
        fetching.add(running)
        return running
      },
      onAttempt: tell(issuer.issuer, options),
    })
    const mapClaims = createClaimMapping({
      issuer,
      spiffe,
      skewMs: SKEW_MS,
      now,
      allowedDestinations: allowed,
      maxTtlMs: () => issuer.maxTtlMs ?? options.maxTtlMs(),
    })
    kept.set(issuer.issuer, keys)
    sources.set(
      issuer.issuer,
      createExternalSource({ issuer, keys, mapClaims, skewMs: SKEW_MS, now }),
    )
  }
  const reload = async () => {
    await Promise.all([...kept.values()].map((keys) => keys.reload()))
  }
  // so that the log shows a failure before the first token arrives
  void reload()
  return {
    sources,
    reload,
    async close() {
      for (const keys of kept.values()) keys.close()
      closing.abort()
      await Promise.allSettled(fetching)
    },
  }
}

async function fetchKeys(
  issuer: ExternalIssuerConfig,
  { trust, resolver, fetchMs }: ExternalIssuersOptions,
  signal: AbortSignal,
) {
  const { jwksUri, caFile, tokenFile } = issuer
  const { text, cacheControl } = await fetchJwks({
    uri: jwksUri,
    trust: caFile === null ? trust() : await readIssuerTrust(caFile),
    token: tokenFile === null ? null : await readIssuerToken(tokenFile),
    resolver,
    signal,
    ...(fetchMs === undefined ? {} : { timeoutMs: fetchMs }),
  })
  return { ...readJwks(text, issuer.algorithms), freshMs: freshMs(cacheControl) }
}

/** Logs a line on each change, not on each attempt. */
function tell(
  issuer: string,
  { metrics, log = silentLog }: ExternalIssuersOptions,
): NonNullable<Parameters<typeof keepKeys>[0]['onAttempt']> {
  let said: string | null = null
  return (result) => {
    metrics?.issuerKeys(issuer, !('error' in result))
    const failure = 'error' in result ? reasonOf(result.error) : null
    const state = 'error' in result ? `failed: ${failure}` : `fetched: ${result.leftOut.join('; ')}`
    if (state === said) return
    const first = said === null
    said = state
    if ('error' in result)
      log.warn({ issuer, err: result.error }, 'the keys of an issuer of tokens cannot be had')
    else if (result.leftOut.length > 0)
      log.warn({ issuer, left_out: result.leftOut }, 'keys of an issuer of tokens are not used')
    else if (!first)
      log.info({ issuer, keys: result.keys.length }, 'the keys of an issuer of tokens are good')
  }
}

function reasonOf(error: unknown): string {
  return error instanceof MeshError ? error.message : String(error)
}
