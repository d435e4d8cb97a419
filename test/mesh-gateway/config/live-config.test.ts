import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '@clawmesh/agent-sdk'
import {
  followConfig,
  type LiveConfig,
  readConfig,
} from '../../../mesh-gateway/src/config/live-config.ts'

const least = {
  trustDomain: 'mesh.internal',
  identity: { dir: 'identity' },
  policy: { dir: 'policy' },
  keys: { dir: 'keys' },
}

describe('the configuration of a running gateway', () => {
  let dir: string
  let live: LiveConfig
  let warnings: unknown[]
  const reloads: boolean[] = []
  const write = (value: unknown) =>
    writeFile(join(dir, 'gateway.json'), typeof value === 'string' ? value : JSON.stringify(value))
  const changed = () => new Promise<void>((resolve) => live.onChange(() => resolve()))

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-config-'))
    warnings = []
    await write(least)
    const place = { path: 'gateway.json', cwd: dir, env: { MESH_LOG_LEVEL: 'error' }, flags: {} }
    const { config } = await readConfig(place)
    live = await followConfig(place, config, {
      log: { ...silentLog, warn: (fields) => warnings.push(fields) },
      metrics: { reload: (_what, ok) => reloads.push(ok) },
    })
  })
  afterEach(async () => {
    await live.close()
    await rm(dir, { recursive: true })
  })

  it('takes over what can change, as one snapshot, and keeps what the environment says', async () => {
    const seen = changed()
    await write({
      ...least,
      drainMs: '5s',
      tokens: { ttlMs: '1m', maxTtlMs: '2m' },
      delegation: { names: ['a.example'], peers: { 'b.acme.mesh.internal': '10.0.0.7:7443' } },
      log: { level: 'debug' },
    })
    await seen
    assert.equal(live.current().drainMs, 5000)
    assert.equal(live.current().tokens.maxTtlMs, 120_000)
    assert.deepEqual(live.current().delegation.names, ['a.example'])
    assert.deepEqual(live.current().delegation.peers, {
      'b.acme.mesh.internal': ['10.0.0.7:7443'],
    })
    assert.equal(live.current().log.level, 'error')
    assert.deepEqual(warnings, [])
  })

  it('warns of what cannot, and keeps it as it was', async () => {
    await write({
      ...least,
      drainMs: '5s',
      egress: { listen: '127.0.0.1:1' },
      keys: { dir: 'other' },
    })
    assert.equal(await live.reload(), true)
    assert.equal(live.current().egress.listen.port, 8080)
    assert.equal(live.current().keys.dir, join(dir, 'keys'))
    assert.equal(live.current().drainMs, 5000)
    assert.deepEqual(warnings, [{ settings: ['keys.dir', 'egress.listen'] }])
  })

  it('trusts no other issuer of tokens before it is started again, and says so', async () => {
    const issuers = [{ issuer: 'x', jwksUri: 'https://x.test/keys', tenants: ['acme'] }]
    await write({ ...least, tokens: { ttlMs: '1m', issuers } })
    assert.equal(await live.reload(), true)
    assert.equal(live.current().tokens.ttlMs, 60_000)
    assert.deepEqual(live.current().tokens.issuers, [])
    assert.deepEqual(warnings, [{ settings: ['tokens.issuers'] }])
  })

  it('keeps the old one when the file is broken or gone', async () => {
    for (const broken of ['{', '{}', JSON.stringify({ ...least, drain: 1 })]) {
      await write(broken)
      assert.equal(await live.reload(), false)
      assert.equal(live.current().drainMs, 30_000)
    }
    await rm(join(dir, 'gateway.json'))
    assert.equal(await live.reload(), false)
    assert.equal(live.current().trustDomain, 'mesh.internal')
    await write(least)
    assert.equal(await live.reload(), true)
  })
})
