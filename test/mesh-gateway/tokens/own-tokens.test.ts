import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { type JWTPayload, SignJWT } from 'jose'
import type { VerifyingKey } from '../../../mesh-gateway/src/tokens/key-ring.ts'
import {
  createRingSource,
  type RingSourceOptions,
} from '../../../mesh-gateway/src/tokens/own-tokens.ts'

const NOW_MS = 1_800_000_000_000
const SECONDS = NOW_MS / 1000

interface Parsed {
  readonly payload: JWTPayload
  readonly kid: string
}

describe('tokens that the gateway signed', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const keys = new Map<string, VerifyingKey>([
    ['key', { publicKey, untilMs: null }],
    ['old', { publicKey, untilMs: NOW_MS + 5_000 }],
  ])
  let listeners: (() => void)[] = []
  const sourceOf = (more: Partial<RingSourceOptions<Parsed>> = {}) =>
    createRingSource<Parsed>({
      keyRing: {
        verifying: (kid) => keys.get(kid) ?? null,
        onChange(listener) {
          listeners.push(listener)
          return () => {
            listeners = []
          }
        },
      },
      ...{ issuer: 'gateway', typ: 'x+jwt', audience: 'egress' },
      requiredClaims: ['exp', 'jti'],
      parse: (payload, kid) => ({ payload, kid }),
      now: () => NOW_MS,
      ...more,
    })
  const good = { iss: 'gateway', aud: 'egress', jti: 'id', iat: SECONDS, exp: SECONDS + 900 }
  const sign = (
    claims: Record<string, unknown>,
    header: object = {},
    key: KeyObject = privateKey,
  ) =>
    new SignJWT({ ...good, ...claims })
      .setProtectedHeader({ ...{ alg: 'ES256', kid: 'key', typ: 'x+jwt' }, ...header })
      .sign(key)
  const judged = async (
    claims: Record<string, unknown>,
    more: Partial<RingSourceOptions<Parsed>> = {},
    header: object = {},
  ): Promise<string> => {
    const token = await sign(claims, header)
    return await sourceOf(more)
      .verify(token)
      .then(
        () => 'OK',
        (error) => error.code,
      )
  }

  it('give their claims, and hold as long as the key that signed them', async () => {
    for (const [kid, untilMs] of [
      ['key', Number.POSITIVE_INFINITY],
      ['old', NOW_MS + 5_000],
    ] as const)
      assert.deepEqual(await sourceOf().verify(await sign({}, { kid })), {
        ...{ claims: { payload: good, kid }, untilMs },
      })
  })

  it('are of one type, issuer and audience, with every claim that they must have', async () => {
    const malformed = 'MESH_TOKEN_MALFORMED'
    assert.equal(await judged({}), 'OK')
    assert.equal(await judged({}, {}, { typ: 'y+jwt' }), malformed)
    assert.equal(await judged({}, {}, { typ: undefined }), malformed)
    assert.equal(await judged({ iss: 'x' }), 'MESH_TOKEN_ISSUER')
    assert.equal(await judged({ iss: undefined }), malformed)
    assert.equal(await judged({ aud: 'x' }), 'MESH_TOKEN_AUDIENCE')
    assert.equal(await judged({ aud: undefined }), malformed)
    assert.equal(await judged({ jti: undefined }), malformed)
    assert.equal(await judged({ exp: undefined }), malformed)
    // judged elsewhere
    for (const aud of ['x', undefined])
      assert.equal(await judged({ aud }, { audience: null }), 'OK')
  })

  it('are refused by a key that is not there, without a word about which ones are', async () => {
    for (const kid of ['x', undefined])
      assert.equal(await judged({}, {}, { kid }), 'MESH_TOKEN_KEY_UNKNOWN')
  })

  it('demand no extensions, not even one that jose knows', async () => {
    const [, body, signature] = (await sign({})).split('.')
    const header = { alg: 'ES256', kid: 'key', typ: 'x+jwt', crit: ['b64'], b64: true }
    const head = Buffer.from(JSON.stringify(header)).toString('base64url')
    await assert.rejects(sourceOf().verify(`${head}.${body}.${signature}`), {
      code: 'MESH_TOKEN_MALFORMED',
      message: 'the token demands extensions (crit)',
    })
  })

  it('may differ from the clock by 30 seconds, or as it is configured', async () => {
    for (const [claims, code] of [
      [{ iat: SECONDS - 900, exp: SECONDS - 29 }, 'OK'],
      [{ iat: SECONDS - 900, exp: SECONDS - 30 }, 'MESH_TOKEN_EXPIRED'],
      [{ nbf: SECONDS + 30 }, 'OK'],
      [{ nbf: SECONDS + 31 }, 'MESH_TOKEN_NOT_YET_VALID'],
    ] as const)
      assert.equal(await judged(claims), code, JSON.stringify(claims))
    const strict = { skewMs: 2_000 }
    assert.equal(await judged({ exp: SECONDS - 1 }, strict), 'OK')
    assert.equal(await judged({ exp: SECONDS - 2 }, strict), 'MESH_TOKEN_EXPIRED')
  })

  it('live for an hour at most, or as it is configured, by their own account and by the clock', async () => {
    const hour = 3_600
    for (const [claims, code] of [
      // seconds are whole, so one more may have come by rounding
      [{ exp: SECONDS + hour + 1 }, 'OK'],
      [{ exp: SECONDS + hour + 2 }, 'MESH_TOKEN_LIFETIME'],
      [{ iat: SECONDS + 29, exp: SECONDS + hour + 30 }, 'OK'],
      [{ iat: SECONDS + 30, exp: SECONDS + hour + 31 }, 'OK'],
      [{ iat: SECONDS + 900, exp: SECONDS + hour + 32 }, 'MESH_TOKEN_LIFETIME'],
      [{ iat: SECONDS - hour, exp: SECONDS + 1 }, 'OK'],
      [{ iat: SECONDS - hour, exp: SECONDS + 2 }, 'MESH_TOKEN_LIFETIME'],
      [{ iat: undefined, exp: SECONDS + 60 }, 'MESH_TOKEN_LIFETIME'],
    ] as const)
      assert.equal(await judged(claims), code, JSON.stringify(claims))
    const maxTtlMs = () => 60_000
    assert.equal(await judged({ exp: SECONDS + 61 }, { maxTtlMs }), 'OK')
    await assert.rejects(sourceOf({ maxTtlMs }).verify(await sign({ exp: SECONDS + 62 })), {
      code: 'MESH_TOKEN_LIFETIME',
      message: 'the token lives longer than the 60 seconds that are accepted',
    })
    // one that names no end is not taken for one that ends
    const endless = { requiredClaims: ['jti'] }
    assert.equal(await judged({ exp: undefined }, endless), 'MESH_TOKEN_LIFETIME')
  })

  it('were issued in the past, within the difference of clocks', async () => {
    for (const [claims, code] of [
      [{ iat: SECONDS + 30 }, 'OK'],
      [{ iat: SECONDS + 31 }, 'MESH_TOKEN_NOT_YET_VALID'],
      [{ iat: 1e300 }, 'MESH_TOKEN_NOT_YET_VALID'],
    ] as const)
      assert.equal(await judged(claims), code, JSON.stringify(claims))
  })

  it('follow the keys of the ring', () => {
    const source = sourceOf()
    assert.deepEqual(['key', 'old', 'x'].map(source.verifies), [true, true, false])
    let changes = 0
    const stop = source.onChange(() => {
      changes += 1
    })
    for (const listener of listeners) listener()
    assert.equal(changes, 1)
    stop()
    assert.deepEqual(listeners, [])
  })
})
