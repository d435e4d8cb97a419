/** One process counts for another: each question has its answer, and each place is given back once. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { createLimitsServer } from '../../../mesh-gateway/src/limits/limits-server.ts'

describe('answers to the questions of another process', () => {
  function open() {
    const left: string[] = []
    const taken: unknown[][] = []
    let entered = 0
    const answering = createLimitsServer({
      limits: {
        take(...question) {
          taken.push(question)
          return 7
        },
        enter(key, max) {
          if (max === 0) return null
          entered += 1
          const name = `${key} ${entered}`
          return () => void left.push(name)
        },
      },
      budgets: {
        async spend(...question) {
          taken.push(question)
          const [txn] = question
          if (txn === 'full') throw new MeshError('MESH_LIMIT_TREES')
          if (txn === 'away') throw new MeshError('MESH_LIMIT_UNAVAILABLE')
          if (txn === 'broken') throw Object.assign(new Error(), { code: 'MESH_LIMIT_TREES' })
          return true
        },
      },
    })
    return { answering, left, taken }
  }

  it('are what the limits and the budgets say of it', async () => {
    const { answering, taken } = open()
    assert.deepEqual(
      await answering.answer([
        ['take', 11, 'k', 60, 5],
        ['enter', 12, 'k', 0],
        ['spend', 13, 'txn', 4, 'acme'],
        ['spend', 14, 'full', 4, 'acme'],
        ['leave', 99],
        ['enter', 15, 'k', 1],
      ]),
      [
        [11, 7],
        [12, false],
        [13, true],
        [14, null],
        [15, 'in', 0],
      ],
    )
    assert.deepEqual(taken, [
      ['k', 60, 5],
      ['txn', 4, 'acme'],
      ['full', 4, 'acme'],
    ])
  })

  it('are none where budgets fail otherwise than by being full', async () => {
    const { answering } = open()
    for (const [txn, error] of [
      ['away', { code: 'MESH_LIMIT_UNAVAILABLE' }],
      ['broken', { name: 'Error' }],
    ] as const)
      await assert.rejects(answering.answer([['spend', 1, txn, 4, 'acme']]), error)
  })

  it('give each place back once, and then to the next', async () => {
    const { answering, left } = open()
    const enter = (id: number, key: string) => answering.answer([['enter', id, key, 1]])
    assert.deepEqual(await enter(1, 'a'), [[1, 'in', 0]])
    assert.deepEqual(await enter(2, 'b'), [[2, 'in', 1]])
    for (let times = 0; times < 2; times += 1) await answering.answer([['leave', 0]])
    assert.deepEqual(left, ['a 1'])
    assert.deepEqual(await enter(3, 'c'), [[3, 'in', 0]])
    assert.deepEqual(await enter(4, 'd'), [[4, 'in', 2]])
    answering.release()
    assert.deepEqual(left, ['a 1', 'c 3', 'b 2', 'd 4'])
    assert.deepEqual(await enter(5, 'e'), [[5, false]])
    assert.equal(left.at(-1), 'e 5', 'it had gone when it was granted')
  })
})
