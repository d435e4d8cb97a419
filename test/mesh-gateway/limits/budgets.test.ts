/** Budgets of trees are kept as long as the tokens of the trees, and no tenant's trees fill the memory for others. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { type Budgets, createMemoryBudgets } from '../../../mesh-gateway/src/limits/budgets.ts'
import { createLimitsClient } from '../../../mesh-gateway/src/limits/limits-client.ts'
import { createLimitsServer } from '../../../mesh-gateway/src/limits/limits-server.ts'
import { countHere } from '../../../mesh-gateway/src/limits/open-limits.ts'

describe('budgets of trees', () => {
  let nowMs = 0
  let keepMs = 1_000
  const open = (maxTrees = 1_000_000) => {
    nowMs = 0
    keepMs = 1_000
    return createMemoryBudgets({ keepMs: () => keepMs, maxTrees, now: () => nowMs })
  }
  /** Begins trees until one is refused. Answers how many were let in. */
  async function fill(budgets: Budgets, tenant: string, most = 10_000): Promise<number> {
    for (let n = 0; n < most; n += 1)
      try {
        await budgets.spend(`${tenant} ${nowMs} ${n}`, 5, tenant)
      } catch (error) {
        assert.ok(error instanceof MeshError)
        assert.equal(error.code, 'MESH_LIMIT_TREES')
        assert.ok((error.retryAfterMs ?? 0) > 0)
        return n
      }
    return most
  }

  it('hold for as long as a token of the tree may live, and no longer', async () => {
    const budgets = open(100)
    assert.equal(await budgets.spend('t', 2, 'acme'), true)
    nowMs = 500
    assert.equal(await budgets.spend('t', 2, 'acme'), true)
    nowMs = 999
    assert.equal(await budgets.spend('t', 2, 'acme'), false)
    assert.equal(await fill(budgets, 'acme'), 49, 'the tree counts')
    nowMs = 1_000
    assert.equal(await budgets.spend('u', 2, 'acme').catch(() => 'full'), true, 't has gone')
    nowMs = 10_000
    assert.equal(await fill(budgets, 'acme'), 50, 'all have gone')
  })

  it('hold for the longest life that was ever configured: an older token is taken again when it is raised', async () => {
    const budgets = open()
    assert.equal(await budgets.spend('t', 1, 'acme'), true)
    keepMs = 10
    nowMs = 900
    assert.equal(await budgets.spend('other', 1, 'acme'), true)
    assert.equal(await budgets.spend('t', 1, 'acme'), false)
  })

  it('hold from the first delegation of each tree on, also of one that began soon after another', async () => {
    const budgets = open()
    assert.equal(await budgets.spend('t', 1, 'acme'), true)
    nowMs = 100
    assert.equal(await budgets.spend('u', 1, 'acme'), true)
    nowMs = 1_099
    assert.equal(await budgets.spend('u', 1, 'acme'), false)
    nowMs = 1_100
    assert.equal(await budgets.spend('u', 1, 'acme'), true)
  })

  it('give a tree what its tenant allows it at the time, and count what was refused', async () => {
    const budgets = open()
    const spend = (max: number) => budgets.spend('t', max, 'acme')
    assert.deepEqual([await spend(3), await spend(3), await spend(3)], [true, true, true])
    assert.equal(await spend(3), false)
    // four were asked for so far
    assert.equal(await spend(5), true)
    assert.equal(await spend(5), false)
    assert.equal(await budgets.spend('none', 0, 'acme'), false)
  })

  it('leave a tenant one tree as long as there is any room, and none beyond what can be counted', async () => {
    const budgets = open(2)
    assert.equal(await fill(budgets, 'acme'), 1)
    assert.equal(await fill(budgets, 'globex'), 1)
    await assert.rejects(budgets.spend('t', 5, 'initech'), {
      code: 'MESH_LIMIT_TREES',
      message: /\b0 trees of delegations of tenant initech\b/,
    })
  })

  it('refuse new trees of a tenant that has half of what others leave, forget none, and take those of others', async () => {
    const budgets = open(1_000)
    assert.equal(await fill(budgets, 'acme'), 500)
    assert.equal(await fill(budgets, 'globex'), 250)
    assert.equal(await fill(budgets, 'initech'), 125)
    for (let n = 0; n < 500; n += 1)
      assert.equal(await budgets.spend(`acme 0 ${n}`, 1, 'acme'), false, `tree ${n} is forgotten`)
  })

  it('hold at any size, over slices', async () => {
    const budgets = open()
    for (let n = 0; n < 70_000; n += 1) await budgets.spend(`t${n}`, 1, 'acme')
    for (const n of [0, 65_535, 65_536, 69_999])
      assert.equal(await budgets.spend(`t${n}`, 1, 'acme'), false)
  })

  it('are refused with the same code by a worker that asks', async () => {
    const answering = createLimitsServer(countHere({ maxTrees: 4, delegationTtlMs: () => 60_000 }))
    const asked = createLimitsClient({
      send(questions) {
        void answering.answer(questions).then((answers) => asked.answered(answers))
        return true
      },
    })
    assert.equal(await asked.budgets.spend('a', 5, 'acme'), true)
    assert.equal(await asked.budgets.spend('b', 5, 'acme'), true)
    await assert.rejects(asked.budgets.spend('c', 5, 'acme'), { code: 'MESH_LIMIT_TREES' })
    assert.equal(await asked.budgets.spend('a', 5, 'acme'), true)
    assert.equal(await asked.budgets.spend('c', 5, 'globex'), true)
    asked.close()
  })
})
