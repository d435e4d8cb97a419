import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSpiffeTemplate, MeshError, Secret } from '@clawmesh/proto'
import { loadPolicy } from '../../../mesh-gateway/src/policy/read/load-policy.ts'
import type { PolicySnapshot } from '../../../mesh-gateway/src/policy/snapshot.ts'
import { type KeyRing, openKeyRing } from '../../../mesh-gateway/src/tokens/key-ring.ts'
import {
  createServiceAccount,
  openServiceAccounts,
  type ServiceAccounts,
} from '../../../mesh-gateway/src/tokens/service-accounts.ts'
import {
  createTokenService,
  type TokenService,
} from '../../../mesh-gateway/src/tokens/token-service.ts'

const bot = { tenant: 'acme', agent: 'bot-01' }
const all = { agentId: null, destinations: null, ttlMs: null }

describe('who gets an egress token', () => {
  let dir: string
  let policy: PolicySnapshot
  let ring: KeyRing
  let accounts: ServiceAccounts
  let service: TokenService
  let revoked: ReadonlySet<string>

  const setPolicy = async (egress: object, delegation: object = {}) => {
    await mkdir(join(dir, 'policy'), { recursive: true })
    await writeFile(
      join(dir, 'policy', 'acme.json'),
      JSON.stringify({ tenant: 'acme', egress, delegation }),
    )
    const loading = await loadPolicy({ dir: join(dir, 'policy') })
    assert.ok(loading.ok)
    policy = loading.snapshot
  }
  const account = async (destinations: readonly string[] | null) => {
    const { key } = await createServiceAccount(join(dir, 'accounts.json'), { ...bot, destinations })
    await accounts.reload()
    return key
  }
  const refuses = (work: Promise<unknown>, code: string) =>
    assert.rejects(work, (error) => error instanceof MeshError && error.code === code)

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-service-'))
    await setPolicy({ allow: ['api.openai.com', '*.example.com'], deny: ['bad.example.com'] })
    ring = await openKeyRing({ dir: join(dir, 'keys') })
    accounts = await openServiceAccounts({ file: join(dir, 'accounts.json') })
    service = createTokenService({
      keyRing: ring,
      issuer: 'test',
      spiffe: createSpiffeTemplate({ trustDomain: 'mesh.internal' }),
      policy: { current: () => policy },
      accounts,
      ttl: () => ({ ttlMs: 60_000, maxTtlMs: 120_000 }),
      revoked: (id) => revoked.has(id),
    })
    revoked = new Set()
  })
  afterEach(async () => {
    await Promise.all([ring.close(), accounts.close()])
    await rm(dir, { recursive: true })
  })

  it('an agent with a certificate: what policy allows, or the part that it asks for', async () => {
    const whole = await service.issueEgressToken(bot, null)
    assert.deepEqual(whole.claims.allowed_destinations, ['api.openai.com', '*.example.com'])
    assert.equal(whole.claims.cnf, undefined)
    const bound = await service.issueEgressToken(bot, null, null, 'A'.repeat(43))
    assert.deepEqual(bound.claims.cnf, { 'x5t#S256': 'A'.repeat(43) })
    const part = await service.issueEgressToken(bot, ['a.example.com', 'evil.com'])
    assert.deepEqual(part.claims.allowed_destinations, ['a.example.com'])
    await refuses(service.issueEgressToken(bot, ['evil.com']), 'MESH_POLICY_NOT_ALLOWED')
    await refuses(service.issueEgressToken(bot, []), 'MESH_TOKEN_REQUEST_INVALID')
    await refuses(
      service.issueEgressToken({ ...bot, tenant: 'globex' }, null),
      'MESH_POLICY_NO_TENANT',
    )
  })

  it('no agent that is revoked, by whichever way it is asked for, and its account is not to blame', async () => {
    const key = await account(null)
    revoked = new Set(['spiffe://mesh.internal/tenant/acme/agent/bot-01'])
    await refuses(service.issueEgressToken(bot, null), 'MESH_IDENTITY_REVOKED')
    await refuses(service.issue({ agent: bot, destinations: null }), 'MESH_IDENTITY_REVOKED')
    await refuses(service.issue({ agent: bot, destinations: [] }), 'MESH_IDENTITY_REVOKED')
    await assert.rejects(
      service.issueForAccountKey(key, all),
      (error) =>
        error instanceof MeshError &&
        error.code === 'MESH_ACCOUNT_KEY_INVALID' &&
        !error.hint.includes('create'),
    )
    await service.issue({ agent: { ...bot, agent: 'bot-02' }, destinations: null })
    revoked = new Set()
    await service.issueForAccountKey(key, all)
  })

  it('no agent that may not originate, by whichever way it asks, but for what it does within a chain', async () => {
    const key = await account(null)
    const egress = { allow: ['api.openai.com'] }
    await setPolicy(egress, { agents: { 'bot-01': { mayOriginate: false } } })
    const code = 'MESH_POLICY_MAY_NOT_ORIGINATE'
    await refuses(service.issueEgressToken(bot, null), code)
    await refuses(service.issue({ agent: bot, destinations: null }), code)
    await refuses(service.issueForAccountKey(key, all), code)
    const act = { sub: 'spiffe://mesh.internal/tenant/acme/agent/planner' }
    const exp = Math.floor(Date.now() / 1000) + 30
    const chain = { act, txn: 'tree', exp, allowedDestinations: null }
    const { claims } = await service.issueEgressToken(bot, null, chain)
    // a token ends with its chain
    assert.deepEqual([claims.act, claims.txn, claims.exp], [act, 'tree', exp])
    await service.issueEgressToken({ ...bot, agent: 'bot-02' }, null)
  })

  it('an agent in audit mode: what it names, even beyond policy, or all that policy lets pass', async () => {
    await setPolicy({ agents: { 'bot-01': { mode: 'audit' } } })
    const named = await service.issueEgressToken(bot, ['anything.net', 'other.org:8443'])
    assert.deepEqual(named.claims.allowed_destinations, ['anything.net', 'other.org:8443'])
    const wide = await service.issueEgressToken(bot, null)
    assert.deepEqual(wide.claims.allowed_destinations, ['*'])
    await refuses(service.issueEgressToken(bot, ['*']), 'MESH_TOKEN_REQUEST_INVALID')
    await refuses(
      service.issueEgressToken({ ...bot, agent: 'bot-02' }, ['x.net']),
      'MESH_POLICY_NOT_ALLOWED',
    )
  })

  it('a machine with a key: no more than its account and policy both allow', async () => {
    const key = await account(['*.example.com', 'taken.back.org'])
    const whole = await service.issueForAccountKey(key, all)
    assert.deepEqual(whole.claims.allowed_destinations, ['*.example.com'])
    assert.equal(whole.claims.sub, 'spiffe://mesh.internal/tenant/acme/agent/bot-01')
    const narrow = await service.issueForAccountKey(key, {
      ...all,
      destinations: ['a.example.com'],
      ttlMs: 1000,
    })
    assert.deepEqual(narrow.claims.allowed_destinations, ['a.example.com'])
    assert.equal(narrow.claims.exp - narrow.claims.iat, 1)
    for (const destinations of [
      ['api.openai.com'],
      ['a.example.com', 'api.openai.com'],
      ['taken.back.org'],
    ])
      await refuses(
        service.issueForAccountKey(key, { ...all, destinations }),
        'MESH_POLICY_NOT_ALLOWED',
      )
    for (const request of [
      { destinations: [] },
      { destinations: ['*'] },
      { destinations: Array.from({ length: 201 }, (_, n) => `h${n}.elsewhere.org`) },
      { ttlMs: 120_001 },
      { agentId: 'bot-02' },
    ])
      await refuses(
        service.issueForAccountKey(key, { ...all, ...request }),
        'MESH_TOKEN_REQUEST_INVALID',
      )
  })

  it('nobody with another key, or where there are no accounts', async () => {
    await account(null)
    const wrong = new Secret(`cmsa_${'0'.repeat(16)}_${'A'.repeat(43)}`)
    await refuses(service.issueForAccountKey(wrong, all), 'MESH_ACCOUNT_KEY_INVALID')
  })
})
