/**
 * Authenticates the client: takes the token from the headers and gets its verified claims. The token itself never
 * leaves this file and the verifier; messages never contain it.
 */
import {
  type AgentIdentity,
  actorsOf,
  type Confirmation,
  MeshError,
  type Peer,
} from '@clawmesh/proto'
import type { Grounds } from '../live/grounds.ts'
import { type Fault, judgeGrounds, type Standing } from '../live/judge.ts'
import type { BundleTrust } from '../live/trust.ts'
import type { VerifiedEgressClaims } from '../tokens/token-grounds.ts'
import { MAX_TOKEN_LENGTH } from '../tokens/token-memory.ts'
import { unverifiedIssuer } from '../tokens/unverified-issuer.ts'
import type { ShownCertificate } from './client/listen-for-clients.ts'
import type { Field } from './http1/head.ts'
import { faultInWords } from './live/fault-in-words.ts'
import { Refused, refuse } from './refused.ts'
import type { EntryForm } from './request.ts'

export interface Principal {
  readonly agent: Peer
  readonly claims: VerifiedEgressClaims
  /** Everything that vouches for the token. */
  readonly grounds: Grounds
  /** The agents that delegated to this one, the origin of the chain first; null when the agent acts for itself. */
  readonly actors: readonly AgentIdentity[] | null
}

/** Verified claims, synchronously or as a promise. @throws MeshError MESH_TOKEN_* */
export type VerifyToken = (token: string) => VerifiedEgressClaims | Promise<VerifiedEgressClaims>

export interface Credential {
  readonly token: string
  /** The user name of Basic authentication; null for Bearer. */
  readonly user: string | null
}

const EXPIRED_TOKEN_HINT =
  'get a fresh one with POST /v1/token, `mesh-gateway issue-token` or MeshService.ExchangeToken; if it is fresh, check the clocks'
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i
const JWT = /[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+/g
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i

export interface AuthenticateBy {
  /** The gateway's own `iss`. It tells a gateway token in Authorization from a token for the destination. */
  readonly issuer: string
  readonly verifyToken: VerifyToken
  readonly certificate: ShownCertificate
  /** The trust bundle of the mesh. */
  readonly bundle: Pick<BundleTrust, 'linkOf'>
  readonly standing: Standing
  parseAgent(spiffeId: string): AgentIdentity
}

export async function authenticate(
  fields: readonly Field[],
  form: EntryForm,
  by: AuthenticateBy,
): Promise<Principal | Refused> {
  const credential = findCredential(fields, form, by.issuer)
  if (credential instanceof Refused) return credential
  try {
    const answer = by.verifyToken(credential.token)
    const claims = answer instanceof Promise ? await answer : answer
    const unbound = claims.cnf === undefined ? null : judgeBinding(claims.cnf, by.certificate)
    if (unbound !== null) return unbound
    if (credential.user !== null && credential.user !== claims.agent_id)
      return refuse('credential', 'MESH_TOKEN_AGENT_MISMATCH', {
        hint: `the token is of ${claims.tenant}/${claims.agent_id}: the user name must be ${claims.agent_id}`,
      })
    const actors =
      claims.act === undefined ? null : actorsOf(claims.act).map((id) => by.parseAgent(id))
    const grounds = boundBy(claims.grounds, by)
    const fault = judgeGrounds(grounds, by.standing)
    if (fault !== null) return refusalOfFault(fault)
    return { agent: { tenant: claims.tenant, agent: claims.agent_id }, claims, grounds, actors }
  } catch (error) {
    if (!(error instanceof MeshError))
      return refuse('credential', 'MESH_GATEWAY_INTERNAL', { cause: error })
    // for tokens of other issuers, the hint names the issuer
    const own = unverifiedIssuer(credential.token) === by.issuer
    return error.code === 'MESH_TOKEN_EXPIRED' && own
      ? refuse('credential', error.code, {
          message: error.message,
          hint: EXPIRED_TOKEN_HINT,
          cause: error,
        })
      : new Refused('credential', error)
  }
}

/** True for an Authorization header that carries a token of the gateway, in any scheme: it is never forwarded. */
export function isOwnAuthorization(value: string, issuer: string): boolean {
  const encoded = BASIC.exec(value)?.[1]
  const text = encoded === undefined ? value : Buffer.from(encoded, 'base64').toString('latin1')
  for (const [token] of text.matchAll(JWT)) if (unverifiedIssuer(token) === issuer) return true
  return false
}

export function findCredential(
  fields: readonly Field[],
  form: EntryForm,
  issuer: string,
): Credential | Refused {
  let authorization: string | null = null
  for (const { name, value } of fields) {
    if (name === 'proxy-authorization') return parseProxyAuthorization(value)
    if (name === 'authorization') authorization = value
  }
  const token = form === 'connect' ? undefined : BEARER.exec(authorization ?? '')?.[1]
  if (token !== undefined && unverifiedIssuer(token) === issuer) return { token, user: null }
  return refuse('credential', 'MESH_TOKEN_MISSING')
}

/** Null when the client has proved, on this connection, that it holds the key to which the token is bound. */
function judgeBinding(cnf: Confirmation, shown: ShownCertificate): Refused | null {
  if (shown === 'resumed')
    return refuse('credential', 'MESH_TOKEN_BINDING', {
      message: 'the token is bound to a client certificate, and a resumed TLS session shows none',
      hint: 'connect with a full TLS handshake: keep no TLS sessions for this port',
    })
  return shown?.thumbprint === cnf['x5t#S256'] ? null : refuse('credential', 'MESH_TOKEN_BINDING')
}

/** Adds facts from the connection about the certificate to which the token is bound. */
function boundBy(grounds: Grounds, { certificate, bundle }: AuthenticateBy): Grounds {
  const { token } = grounds
  const shown = certificate === 'resumed' ? null : certificate
  if (token === null || token.boundTo === null || shown === null) return grounds
  const boundTo = { ...token.boundTo, links: [bundle.linkOf(shown.leaf)] }
  return { ...grounds, token: { ...token, boundTo } }
}

function refusalOfFault(fault: Fault): Refused {
  const { code, message, hint } = faultInWords(fault)
  return refuse('credential', code, {
    ...(message === null ? {} : { message }),
    ...(hint === null ? {} : { hint }),
  })
}

function parseProxyAuthorization(value: string): Credential | Refused {
  if (value.length > MAX_TOKEN_LENGTH * 1.5) return malformed('the credential is too long')
  const token = BEARER.exec(value)?.[1]
  if (token !== undefined) return { token, user: null }
  const encoded = BASIC.exec(value)?.[1]
  if (encoded === undefined) return malformed('the credential is neither Bearer nor Basic')
  const decoded = Buffer.from(encoded, 'base64').toString('latin1')
  const colon = decoded.indexOf(':')
  if (colon === -1) return malformed('the Basic credential has no password')
  const user = decoded.slice(0, colon)
  if (user === '') return malformed('the Basic credential has no user name')
  return { token: decoded.slice(colon + 1), user }
}

function malformed(message: string): Refused {
  return refuse('credential', 'MESH_TOKEN_MALFORMED', {
    message,
    hint: 'send Proxy-Authorization: Bearer <token>, or Basic with <agent id>:<token>',
  })
}
