import assert from 'node:assert/strict'
import { createTaskResult } from '../../../agent-sdk/src/client/task-result.ts'

describe('the result of a task', () => {
  it('has its texts joined, and the first of its JSON and of its bytes', () => {
    const first = Buffer.from('first')
    const result = createTaskResult(
      'id',
      [
        { kind: 'text', text: 'a' },
        { kind: 'json', json: { n: 1 } },
        { kind: 'bytes', bytes: first },
        { kind: 'text', text: 'b' },
        { kind: 'json', json: 2 },
        { kind: 'bytes', bytes: Buffer.from('second') },
      ],
      new Map(),
    )
    assert.equal(result.text(), 'ab')
    assert.deepEqual(result.json(), { n: 1 })
    assert.equal(result.bytes(), first)
  })

  it('has nothing of what was not sent', () => {
    const result = createTaskResult('id', [], new Map())
    assert.deepEqual([result.text(), result.json(), result.bytes()], ['', undefined, undefined])
  })
})
