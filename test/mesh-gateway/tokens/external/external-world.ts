/** A gateway's own keys and another issuer's, with a verifier of tokens that trusts both: a new issuer for each test. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import { resolveConfig } from '../../../../mesh-gateway/src/config/resolve-config.ts'
import type { Config } from '../../../../mesh-gateway/src/config/schema.ts'
import { createResolver } from '../../../../mesh-gateway/src/resolve/create-resolver.ts'
import { createTokenIssuer } from '../../../../mesh-gateway/src/tokens/issue-token.ts'
import { type KeyRing, openKeyRing } from '../../../../mesh-gateway/src/tokens/key-ring.ts'
import {
  type OpenTokenVerifier,
  openTokenVerifier,
} from '../../../../mesh-gateway/src/tokens/open-token-verifier.ts'
import type { VerifiedEgressClaims } from '../../../../mesh-gateway/src/tokens/token-grounds.ts'
import { describeClosing } from '../../../support/closes-everything.ts'
import { makeTestCa, type TestCa } from '../../../support/test-ca.ts'
import {
  type IssuerKey,
  startTokenIssuer,
  type TokenIssuer,
} from '../../../support/token-issuer.ts'
import { policyOf } from '../../policy/policies.ts'

/** `iss` of the gateway's own tokens. */
export const OWN = 'https://gateway.mesh.internal'
/** On this machine, by the resolver of the verifier. */
export const HOST = 'planner.acme.mesh.internal'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const policy = policyOf({
  acme: {
    egress: {
      allow: ['api.test', '*.example.com'],
      deny: ['gist.example.com'],
      agents: { 'bot-01': { allow: ['mine.test:443', 'other.test:8443'] } },
    },
  },
})

export interface ExternalWorld {
  /** With the key `one`. */
  readonly issuer: TokenIssuer
  /** Milliseconds since the epoch, by the clock of the verifier. */
  nowMs: number
  /** How many tokens were verified, not remembered. */
  readonly anew: number
  /** Of whom keys were fetched, and whether they came. */
  readonly fetched: readonly (readonly [string, boolean])[]
  /** The CAs that issuers have their certificates from. */
  roots: string
  readonly ca: TestCa
  /** What the test opened last; closed after it. */
  readonly verifier: OpenTokenVerifier | null
  readonly config: Config | null
  /** Called after the test, the last one first. */
  readonly closing: (() => Promise<void> | void)[]
  entry(of: TokenIssuer, more?: object): object
  /** As the configuration makes them, so that its defaults count. Default: the issuer alone. */
  open(entries?: readonly object[], fetchMs?: number): Promise<OpenTokenVerifier>
  verify(token: string): Promise<VerifiedEgressClaims>
  /** `OK`, or the code of the refusal. */
  codeOf(token: string): Promise<string>
  ownToken(): Promise<string>
  firstKey(): IssuerKey
}

/** A suite of the tokens of other issuers, and the world of its tests: made anew for each, but for keys and CA of the gateway. */
export function describeOutsideTokens(title: string, suite: (world: ExternalWorld) => void): void {
  describeClosing('tokens of other issuers', () => {
    let dir: string
    let ring: KeyRing
    let ca: TestCa
    let issuer: TokenIssuer
    let verifier: OpenTokenVerifier | null
    let config: Config | null
    let fetched: [string, boolean][]
    let anew: number
    const closing: (() => Promise<void> | void)[] = []
    const resolver = createResolver()

    before(async () => {
      dir = await mkdtemp(join(tmpdir(), 'clawmesh-outside-'))
      ring = await openKeyRing({ dir })
      ca = await makeTestCa()
      world.roots = ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' }).roots
    })
    beforeEach(async () => {
      world.nowMs = Date.now()
      anew = 0
      verifier = null
      config = null
      fetched = []
      issuer = await startTokenIssuer()
      closing.push(issuer.close)
      await issuer.addKey('one')
    })
    afterEach(async () => {
      await verifier?.close()
      for (const close of closing.splice(0).reverse()) await close()
    })
    after(async () => {
      resolver.close()
      await ring.close()
      await ca.close()
      await rm(dir, { recursive: true })
    })

    const world: ExternalWorld = {
      nowMs: 0,
      roots: '',
      closing,
      get issuer() {
        return issuer
      },
      get ca() {
        return ca
      },
      get anew() {
        return anew
      },
      get fetched() {
        return fetched
      },
      get verifier() {
        return verifier
      },
      get config() {
        return config
      },
      entry: (of, more = {}) => ({
        issuer: of.iss,
        jwksUri: of.jwksUri,
        tenants: ['acme', 'globex'],
        ...more,
      }),
      async open(entries = [world.entry(issuer)], fetchMs = 5000) {
        config = configOf(dir, entries)
        verifier = await openTokenVerifier({
          ...{ keyRing: ring, issuer: OWN, spiffe, issuers: config.tokens.issuers, fetchMs },
          policy: { current: () => policy },
          resolver: {
            addresses: (host) =>
              host === HOST
                ? Promise.resolve([{ ip: '127.0.0.1', ttlMs: 1000 }])
                : host === 'localhost'
                  ? Promise.resolve([{ ip: '127.0.0.9', ttlMs: 1000 }])
                  : host === 'never.test'
                    ? new Promise(() => {})
                    : resolver.addresses(host),
          },
          trust: () => createSecureContext({ ca: world.roots }),
          maxTtlMs: () => 3_600_000,
          metrics: { issuerKeys: (name, ok) => fetched.push([name, ok]) },
          onVerified: () => {
            anew += 1
          },
          now: () => world.nowMs,
        })
        return verifier
      },
      async verify(token) {
        verifier ??= await world.open()
        return await verifier.verify(token)
      },
      async codeOf(token) {
        try {
          await world.verify(token)
          return 'OK'
        } catch (error) {
          assert.ok(error instanceof MeshError, String(error))
          return error.code
        }
      },
      async ownToken() {
        const tokens = createTokenIssuer({
          ...{ keyRing: ring, issuer: OWN, spiffe },
          allowedDestinations: () => ['api.test'],
          ttl: () => ({ ttlMs: 900_000, maxTtlMs: 3_600_000 }),
        })
        const agent = { tenant: 'acme', agent: 'bot-01' }
        return (await tokens.issue({ agent, destinations: null })).token.reveal()
      },
      firstKey: () => issuer.keys.get('one') ?? assert.fail('no key'),
    }

    describe(title, () => suite(world))
  })
}

/** A part of a token that is written by hand. */
export function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function configOf(dir: string, issuers: readonly object[]): Config {
  const file = {
    trustDomain: 'mesh.internal',
    ...{ identity: { dir: 'i' }, policy: { dir: 'p' }, keys: { dir: 'k' } },
    tokens: { issuers },
  }
  return resolveConfig({
    file: { path: 'gateway.json', bytes: Buffer.from(JSON.stringify(file)) },
    env: {},
    flags: {},
    cwd: dir,
  }).config
}
