/** Tokens that a gateway must refuse, made from a good one: with no key, with a stranger's, and with the very key of the gateway. */
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { DELEGATION_TOKEN_TYPE, EGRESS_TOKEN_TYPE } from '@clawmesh/proto'
import { SignJWT } from 'jose'
import type { Random } from './random.ts'

export type Claims = Readonly<Record<string, unknown>>

export interface GoodToken {
  readonly token: string
  readonly claims: Claims
  /** Its type, which no token of another purpose has. */
  readonly typ: string
  readonly kid: string
  /** Of the key that signed it. */
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** Claims that no such token is without, each of one shape. */
  readonly required: readonly string[]
}

/** Signs what nobody should: anything, by any key, as any type. */
export async function signAs(
  good: GoodToken,
  claims: Claims,
  { typ = good.typ, kid = good.kid, key = good.privateKey } = {},
): Promise<string> {
  return await new SignJWT({ ...claims }).setProtectedHeader({ alg: 'ES256', kid, typ }).sign(key)
}

type Forgery = (good: GoodToken, random: Random) => string | Promise<string>

const HOUR_S = 3_600
/** No claim may be one of these in place of what it is. */
const ODD: readonly unknown[] = [null, {}, [], [[]], -1, 1.5, true, '', { sub: 'x' }, 1e300]
const nowS = () => Math.floor(Date.now() / 1_000)

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function parts(token: string): [head: string, body: string, signature: string] {
  const [head = '', body = '', signature = ''] = token.split('.')
  return [head, body, signature]
}

/** One byte of a part is another one: not another way to write the same bytes, which a signature does not forbid. */
function withOtherByte(part: string, random: Random): string {
  const bytes = Buffer.from(part, 'base64url')
  const at = random.int(bytes.length)
  bytes[at] = (bytes[at] ?? 0) ^ (1 + random.int(255))
  return bytes.toString('base64url')
}

function hmac(text: string, key: string | Buffer): string {
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
}

/** By what is wrong with it. */
export const FORGERIES: Readonly<Record<string, Forgery>> = {
  'an altered head': ({ token }, random) => {
    const [head, body, signature] = parts(token)
    return `${withOtherByte(head, random)}.${body}.${signature}`
  },
  'altered claims': ({ token }, random) => {
    const [head, body, signature] = parts(token)
    return `${head}.${withOtherByte(body, random)}.${signature}`
  },
  'an altered signature': ({ token }, random) => {
    const [head, body, signature] = parts(token)
    return `${head}.${body}.${withOtherByte(signature, random)}`
  },
  'other claims under the same signature': ({ token, claims }) => {
    const [head, , signature] = parts(token)
    return `${head}.${encode({ ...claims, exp: nowS() + HOUR_S })}.${signature}`
  },
  'a token cut short': ({ token }, random) => token.slice(0, random.int(token.length - 2)),
  'one part too many': ({ token }) => `${token}.${token.split('.')[2]}`,
  'random bytes': (_, random) => random.bytes(1 + random.int(300)).toString('base64url'),
  'random parts': (_, random) =>
    Array.from({ length: 3 }, () => random.bytes(random.int(100)).toString('base64url')).join('.'),
  'alg none': ({ claims, typ, kid }, random) =>
    `${encode({ alg: random.pick(['none', 'None', 'NONE', '']), typ, kid })}.${encode(claims)}.`,
  'HS256 keyed with the public key': ({ claims, typ, kid, publicKey }, random) => {
    const format = random.pick(['pem', 'der'] as const)
    const key =
      format === 'pem'
        ? publicKey.export({ type: 'spki', format })
        : publicKey.export({ type: 'spki', format })
    return hmac(`${encode({ alg: 'HS256', typ, kid })}.${encode(claims)}`, key)
  },
  'a stranger’s key under a known kid': (good) => signAs(good, good.claims, { key: stranger() }),
  'an unknown kid': (good, random) =>
    signAs(good, good.claims, { kid: random.bytes(32).toString('base64url') }),
  'another type': (good, random) =>
    signAs(good, good.claims, {
      typ: random.pick(
        ['JWT', 'at+jwt', '', DELEGATION_TOKEN_TYPE, EGRESS_TOKEN_TYPE].filter(
          (typ) => typ !== good.typ,
        ),
      ),
    }),
  'a critical header that nobody knows': async (good) => {
    const [head, body, signature] = parts(good.token)
    const known: unknown = JSON.parse(Buffer.from(head, 'base64url').toString())
    return `${encode({ ...Object(known), crit: ['x'], x: 1 })}.${body}.${signature}`
  },
  'another audience': (good, random) =>
    signAs(good, {
      ...good.claims,
      aud: random.pick([
        'clawmesh',
        'spiffe://mesh.internal/tenant/acme/agent/somebody',
        ['clawmesh-egress'],
        '*',
      ]),
    }),
  'an issuer that nobody trusts': (good, random) =>
    signAs(good, { ...good.claims, iss: random.pick(['https://evil.example', '', 'null']) }),
  'an end that is gone': (good, random) => {
    const exp = nowS() - 31 - random.int(HOUR_S)
    return signAs(good, { ...good.claims, iat: exp - 60, nbf: exp - 60, exp })
  },
  'a beginning that is to come': (good, random) => {
    const iat = nowS() + 60 + random.int(HOUR_S)
    return signAs(good, { ...good.claims, iat, nbf: iat, exp: iat + 60 })
  },
  'a life of years': (good) =>
    signAs(good, { ...good.claims, exp: nowS() + 50 * 365 * 24 * HOUR_S }),
  'a claim of another shape': (good, random) => {
    return signAs(good, { ...good.claims, [random.pick(good.required)]: random.pick(ODD) })
  },
  'a claim that is missing': (good, random) => {
    const { [random.pick(good.required)]: _, ...rest } = good.claims
    return signAs(good, rest)
  },
}

function stranger(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}
