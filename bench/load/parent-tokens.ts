/**
 * Delegation tokens as the gateway signs them: what a callee holds that delegates further. Made with the gateway's own
 * key, since to have thousands of them from the gateway would take longer than to measure.
 */
import { createPrivateKey, randomUUID, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DELEGATION_TOKEN_TYPE, type DelegationClaims } from '@clawmesh/proto'
import { z } from 'zod'

export interface ParentTokenOptions {
  /** Of the gateway: ring.json and a PEM file per key. */
  readonly keysDir: string
  readonly issuer: string
  /** SPIFFE IDs: who began the chain, and who may present the token. */
  readonly root: string
  readonly holder: string
  /** Milliseconds since the epoch. Default the system's clock. */
  readonly now?: () => number
}

const LIFE_SECONDS = 3600
const MAX_HOPS = 8
const ring = z.object({ keys: z.array(z.object({ kid: z.string(), role: z.string() })) })

/** Makes one more, of a tree of its own, with each call. */
export function createParentTokens(options: ParentTokenOptions): () => string {
  const { keysDir, issuer, root, holder, now = Date.now } = options
  const { keys } = ring.parse(JSON.parse(readFileSync(join(keysDir, 'ring.json'), 'utf8')))
  const active = keys.find(({ role }) => role === 'active')
  if (active === undefined) throw new Error(`no active key in ${keysDir}`)
  const key = createPrivateKey(readFileSync(join(keysDir, `${active.kid}.pem`)))
  const head = encode({ alg: 'ES256', kid: active.kid, typ: DELEGATION_TOKEN_TYPE })
  return () => {
    const iat = Math.floor(now() / 1000)
    const claims: DelegationClaims = {
      iss: issuer,
      sub: root,
      aud: holder,
      act: { sub: root },
      txn: randomUUID(),
      hop: 1,
      max_hops: MAX_HOPS,
      iat,
      exp: iat + LIFE_SECONDS,
      jti: randomUUID(),
    }
    const signed = `${head}.${encode(claims)}`
    const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' })
    return `${signed}.${signature.toString('base64url')}`
  }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
