import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import {
  createServiceAccount,
  openServiceAccounts,
  revokeServiceAccount,
  type ServiceAccounts,
} from '../../../mesh-gateway/src/tokens/service-accounts.ts'

const wanted = { tenant: 'acme', agent: 'bot-01', destinations: null }

describe('service accounts', () => {
  let dir: string
  let file: string
  let accounts: ServiceAccounts | null
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-accounts-'))
    file = join(dir, 'accounts.json')
    accounts = null
  })
  afterEach(async () => {
    await accounts?.close()
    await rm(dir, { recursive: true })
  })
  const invalid = (error: unknown) =>
    error instanceof MeshError && error.code === 'MESH_ACCOUNT_KEY_INVALID'
  const until = async (what: () => boolean) => {
    while (!what()) await new Promise((resolve) => setTimeout(resolve, 10))
  }

  it('are known by their key, which is in no file', async () => {
    const { account, key } = await createServiceAccount(file, {
      ...wanted,
      destinations: ['a.example.com'],
    })
    assert.match(key.reveal(), /^cmsa_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/)
    assert.ok(key.reveal().includes(account.id))
    assert.ok(!(await readFile(file, 'utf8')).includes(key.reveal().slice(22)))
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    accounts = await openServiceAccounts({ file })
    assert.deepEqual(accounts.authenticate(key.reveal()), account)
    assert.deepEqual(account.destinations, ['a.example.com'])
  })

  it('are refused with any other key, without a word about what is wrong', async () => {
    const { key } = await createServiceAccount(file, wanted)
    accounts = await openServiceAccounts({ file })
    const good = key.reveal()
    const last = good.endsWith('A') ? 'B' : 'A'
    for (const wrong of [
      '',
      'x',
      good.slice(0, -1),
      `${good.slice(0, -1)}${last}`,
      `${good}x`,
      good.toUpperCase(),
      `cmsa_${'0'.repeat(16)}_${'A'.repeat(43)}`,
      'x'.repeat(1e6),
    ])
      assert.throws(() => accounts?.authenticate(wrong), invalid)
  })

  it('made and revoked by another process are seen by a running gateway', async () => {
    accounts = await openServiceAccounts({ file })
    const running = accounts
    assert.deepEqual(running.list(), [])
    const { account, key } = await createServiceAccount(file, wanted)
    await until(() => running.list().length === 1)
    running.authenticate(key.reveal())
    await revokeServiceAccount(file, account.id)
    await until(() => running.list()[0]?.revoked !== null)
    assert.throws(() => running.authenticate(key.reveal()), invalid)
  })

  it('stay as they were when the file is torn, and none is lost when many are made at once', async () => {
    const made = await Promise.all(
      Array.from({ length: 10 }, () => createServiceAccount(file, wanted)),
    )
    accounts = await openServiceAccounts({ file })
    assert.equal(accounts.list().length, 10)
    for (const torn of ['', '{', '{"accounts":[{}]}', '[]']) {
      await writeFile(file, torn)
      assert.equal(await accounts.reload(), false)
      for (const { key } of made) accounts.authenticate(key.reveal())
    }
    await accounts.close()
    accounts = null
    await assert.rejects(
      openServiceAccounts({ file }),
      (error) => error instanceof MeshError && error.code === 'MESH_ACCOUNTS_UNUSABLE',
    )
  })

  it('that cannot be written say which directory is wrong', async () => {
    await writeFile(join(dir, 'taken'), '')
    await assert.rejects(createServiceAccount(join(dir, 'taken', 'accounts.json'), wanted), {
      ...{ code: 'MESH_DISK_WRITE', name: 'MeshError' },
      message: new RegExp(`${join(dir, 'taken')}\\b(?!/)`),
    })
  })

  it('are read no more once they are closed', async () => {
    await createServiceAccount(file, wanted)
    const closed = await openServiceAccounts({ file })
    assert.equal(await closed.reload(), true)
    await closed.close()
    assert.equal(await closed.reload(), false)
  })

  it('that are not there cannot be revoked', async () => {
    await assert.rejects(revokeServiceAccount(file, 'nobody'), /no service account "nobody"/)
  })
})
