/** An issuer of tokens as others run them: keys of its own, a JWKS over HTTP that does as it is told, and tokens. */
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import {
  type CryptoKey,
  exportJWK,
  type GenerateKeyPairOptions,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  SignJWT,
} from 'jose'
import { closeServer, listenOnFreePort } from './http-origin.ts'

export interface TokenIssuerOptions {
  /** Default `https://issuer.example`. */
  readonly iss?: string
  /** Certificate and key, PEM, and the name that it is asked by; default plain HTTP on 127.0.0.1. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly host: string }
}

export interface IssuerKey {
  readonly alg: string
  readonly privateKey: CryptoKey
  /** As it stands in the JWKS; may be changed. */
  jwk: JWK
}

export interface TokenIssuer {
  readonly iss: string
  readonly jwksUri: string
  /** Those that it publishes, by kid. */
  readonly keys: Map<string, IssuerKey>
  /** How often its JWKS was asked for. */
  asked(): number
  addKey(kid: string, alg?: string, options?: GenerateKeyPairOptions): Promise<IssuerKey>
  /** Answers so; null: with its keys. */
  serve(listener: RequestListener | null): void
  /** Of agent acme/bot-01 for api.test, good for five minutes. What is undefined is left out. */
  claims(more?: Readonly<Record<string, unknown>>): Record<string, unknown>
  token(
    more?: Readonly<Record<string, unknown>>,
    by?: {
      key?: IssuerKey | undefined
      kid?: string | undefined
      header?: Partial<JWTHeaderParameters>
    },
  ): Promise<string>
  close(): Promise<void>
}

export async function startTokenIssuer(options: TokenIssuerOptions = {}): Promise<TokenIssuer> {
  const { iss = 'https://issuer.example', tls } = options
  const keys = new Map<string, IssuerKey>()
  let asked = 0
  let answer: RequestListener | null = null
  const listener: RequestListener = (request, response) => {
    asked += 1
    if (answer !== null) return answer(request, response)
    const body = JSON.stringify({ keys: [...keys.values()].map(({ jwk }) => jwk) })
    response.writeHead(200, { 'content-type': 'application/jwk-set+json' }).end(body)
  }
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener)
  server.on('error', () => {})
  const port = await listenOnFreePort(server)
  const issuer: TokenIssuer = {
    iss,
    jwksUri:
      tls === undefined ? `http://127.0.0.1:${port}/keys` : `https://${tls.host}:${port}/keys`,
    keys,
    asked: () => asked,
    async addKey(kid, alg = 'ES256', more = {}) {
      const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true, ...more })
      const key = {
        alg,
        privateKey,
        jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' },
      }
      keys.set(kid, key)
      return key
    },
    serve(next) {
      answer = next
    },
    claims(more = {}) {
      const seconds = Math.floor(Date.now() / 1000)
      const claims: Record<string, unknown> = {
        iss,
        aud: 'clawmesh-egress',
        sub: 'whoever',
        tenant: 'acme',
        agent_id: 'bot-01',
        allowed_destinations: ['api.test'],
        iat: seconds,
        exp: seconds + 300,
        jti: `${asked}-${seconds}`,
        ...more,
      }
      for (const [name, value] of Object.entries(claims))
        if (value === undefined) delete claims[name]
      return claims
    },
    async token(more = {}, by = {}) {
      const [[firstKid, first] = []] = keys
      const key = by.key ?? first
      if (key === undefined) throw new Error('the issuer has no key')
      const kid = 'kid' in by ? by.kid : (key.jwk.kid ?? firstKid)
      return await new SignJWT(issuer.claims(more))
        .setProtectedHeader({ alg: key.alg, ...(kid === undefined ? {} : { kid }), ...by.header })
        .sign(key.privateKey)
    },
    close: () => closeServer(server),
  }
  return issuer
}
