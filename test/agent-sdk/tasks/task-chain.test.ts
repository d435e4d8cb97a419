import assert from 'node:assert/strict'
import { readTaskChain } from '../../../agent-sdk/src/tasks/task-chain.ts'

const token = (claims: unknown) =>
  `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`

describe('the chain of a task', () => {
  const act = { sub: 'spiffe://m/c', act: { sub: 'spiffe://m/b', act: { sub: 'spiffe://m/a' } } }

  it('is what the delegation token says: root, parent, hop, and the agents in their order', () => {
    assert.deepEqual(readTaskChain(token({ txn: 't', hop: 3, parent_id: 'p', act })), {
      ...{ rootId: 't', parentId: 'p', hop: 3 },
      agents: ['spiffe://m/a', 'spiffe://m/b', 'spiffe://m/c'],
    })
    const first = readTaskChain(token({ txn: 't', hop: 1, act: { sub: 'a' } }))
    assert.equal(first?.parentId, null)
  })

  it('is null without a token, and for what is none', () => {
    const deep = Array.from({ length: 200 }).reduce((inner) => ({ sub: 'a', act: inner }), {
      sub: 'a',
    })
    for (const none of [
      null,
      '',
      'x',
      'a.b.c',
      token(null),
      token([]),
      token({ txn: 1, hop: 1, act }),
      token({ txn: 't', hop: '1', act }),
      token({ txn: 't', hop: 1 }),
      token({ txn: 't', hop: 1, act: { sub: 5 } }),
      token({ txn: 't', hop: 1, act: deep }),
    ])
      assert.equal(readTaskChain(none), null)
  })
})
