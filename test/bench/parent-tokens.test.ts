import assert from 'node:assert/strict'
import { generateKeyPairSync, verify } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DELEGATION_TOKEN_TYPE } from '@clawmesh/proto'
import { createParentTokens } from '../../bench/load/parent-tokens.ts'

const ROOT = 'spiffe://mesh.internal/tenant/acme/agent/editor'
const HOLDER = 'spiffe://mesh.internal/tenant/acme/agent/planner'

describe('tokens that the bench presents', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bench-tokens-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  const ring = (role: string) =>
    writeFile(join(dir, 'ring.json'), JSON.stringify({ keys: [{ kid: 'one', role }] }))
  const create = () =>
    createParentTokens({
      keysDir: dir,
      issuer: 'https://gateway.mesh.internal',
      root: ROOT,
      holder: HOLDER,
      now: () => 1_000_500,
    })

  it('are signed by the active key, for their holder, each of a tree of its own', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await ring('active')
    await writeFile(join(dir, 'one.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const make = create()
    const [head = '', body = '', signature = ''] = make().split('.')
    const key = { key: publicKey, dsaEncoding: 'ieee-p1363' as const }
    const signed = Buffer.from(`${head}.${body}`)
    assert.ok(verify('sha256', signed, key, Buffer.from(signature, 'base64url')))
    assert.deepEqual(decode(head), { alg: 'ES256', kid: 'one', typ: DELEGATION_TOKEN_TYPE })
    const { txn, jti, ...claims } = decode(body)
    assert.deepEqual(claims, {
      iss: 'https://gateway.mesh.internal',
      ...{ sub: ROOT, aud: HOLDER, act: { sub: ROOT } },
      ...{ hop: 1, max_hops: 8, iat: 1000, exp: 4600 },
    })
    const other = decode(make().split('.')[1] ?? '')
    assert.notEqual(other.txn, txn)
    assert.notEqual(other.jti, jti)
  })

  it('are not made without a key that signs', async () => {
    await ring('verifying')
    assert.throws(create, /no active key/)
  })
})

function decode(part: string) {
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
}
