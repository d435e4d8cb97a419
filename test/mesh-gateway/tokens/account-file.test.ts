import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readAccounts } from '../../../mesh-gateway/src/tokens/account-file.ts'
import {
  createServiceAccount,
  openServiceAccounts,
  revokeServiceAccount,
} from '../../../mesh-gateway/src/tokens/service-accounts.ts'

describe('the file of service accounts', () => {
  let dir: string
  let path: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-account-'))
    path = join(dir, 'accounts.json')
  })
  afterEach(() => rm(dir, { recursive: true }))

  const good = {
    ...{ id: '0123456789abcdef', tenant: 'acme', agent: 'bot', destinations: null },
    ...{ hash: 'ab'.repeat(32), created: '2026-11-29T12:00:00.000Z', revoked: null },
  }
  const read = async (accounts: unknown) => {
    await writeFile(path, JSON.stringify({ accounts }))
    return (await readAccounts(path)).parse()
  }

  it('need not be there, and is the same while its content is', async () => {
    const none = await readAccounts(path)
    assert.deepEqual([none.digest, none.parse()], ['none', []])
    await writeFile(path, '{"accounts":[]}')
    const one = await readAccounts(path)
    assert.equal((await readAccounts(path)).digest, one.digest)
    await writeFile(path, '{"accounts":[] }')
    assert.notEqual((await readAccounts(path)).digest, one.digest)
    await assert.rejects(readAccounts(dir), {
      ...{ code: 'MESH_ACCOUNTS_UNUSABLE', message: /^cannot read / },
    })
  })

  it('holds accounts of one form, each id once', async () => {
    const account = { ...good, destinations: ['*.a.test'], revoked: good.created }
    assert.deepEqual(await read([good, { ...account, id: 'f'.repeat(16) }]), [
      good,
      { ...account, id: 'f'.repeat(16) },
    ])
    const hosts = (count: number) => Array.from({ length: count }, (_, n) => `h${n}.test`)
    assert.equal((await read([{ ...good, destinations: hosts(200) }])).length, 1)
    for (const odd of [
      ...['', `${good.id}0`, `x${good.id}`, good.id.toUpperCase()].map((id) => ({ id })),
      ...['', `${good.hash}0`, `0${good.hash}`, 'AB'.repeat(32)].map((hash) => ({ hash })),
      ...[{ tenant: 'A' }, { agent: '' }, { created: 'today' }, { revoked: 'no' }, { more: 1 }],
      ...[[], ['*'], hosts(201), 'a.test'].map((destinations) => ({ destinations })),
    ])
      await assert.rejects(read([{ ...good, ...odd }]), { code: 'MESH_ACCOUNTS_UNUSABLE' })
    await assert.rejects(read([good, good]), { message: /an id is there twice$/ })
  })

  it('gains an account or the time that one was revoked, and keeps all others', async () => {
    const nowMs = Date.parse('2026-11-29T12:00:00Z')
    const wanted = { tenant: 'acme', agent: 'bot', destinations: ['a.test'] }
    const { account: one } = await createServiceAccount(path, wanted, () => nowMs)
    assert.deepEqual(
      { ...one, id: '', hash: '' },
      {
        ...{ ...good, ...wanted, id: '', hash: '' },
      },
    )
    const { account: two, key } = await createServiceAccount(join(path), wanted, () => nowMs + 1)
    const revoked = await revokeServiceAccount(path, one.id, () => nowMs + 5)
    assert.deepEqual(revoked, { ...one, revoked: '2026-11-29T12:00:00.005Z' })
    assert.deepEqual(await revokeServiceAccount(path, one.id, () => nowMs + 9), revoked)
    assert.deepEqual((await readAccounts(path)).parse(), [revoked, two])
    await assert.rejects(revokeServiceAccount(path, 'x'), { code: 'MESH_ACCOUNTS_UNUSABLE' })
    const outcomes: boolean[] = []
    const opened = await openServiceAccounts({
      file: path,
      metrics: { reload: (_what, ok) => void outcomes.push(ok) },
    })
    assert.equal(opened.authenticate(key.reveal()).id, two.id)
    await opened.close()
    assert.deepEqual(outcomes, [true])
    const deep = join(dir, 'a', 'b', 'accounts.json')
    await createServiceAccount(deep, wanted)
    assert.equal((await readAccounts(deep)).parse().length, 1)
    await assert.rejects(createServiceAccount(join(path, 'x'), wanted), { code: 'MESH_DISK_WRITE' })
  })
})
