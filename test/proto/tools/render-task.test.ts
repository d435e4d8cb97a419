import assert from 'node:assert/strict'
import { boundedText, outputOf, questionText } from '@clawmesh/proto/tools'

const DEPTH = 200_000

describe('a task that is told to a model', () => {
  it('shows text, JSON and the names of artifacts, in their order, and no bytes', () => {
    const output = [
      { kind: 'text', text: 'one' },
      { kind: 'json', json: { two: 2 } },
      { kind: 'bytes' },
      { kind: 'artifact', name: 'three\u001b[31m' },
    ] as const
    assert.equal(boundedText(output, 100).whole, 'one\n{\n "two": 2\n}\n(the artifact three)')
    assert.equal(outputOf(output, 10), null)
    assert.deepEqual(outputOf([{ kind: 'json', json: { two: 2 } }], 10), { two: 2 })
    assert.equal(outputOf([{ kind: 'json', json: { two: 2 } }], 8), null)
  })

  it('goes on where a peer nests its JSON deeper than can be written', () => {
    const json: unknown = JSON.parse('['.repeat(DEPTH) + ']'.repeat(DEPTH))
    const part = { kind: 'json', json } as const
    assert.match(
      boundedText([{ kind: 'text', text: 'before' }, part], 100).whole,
      /^before\n\(JSON .*deep/,
    )
    assert.equal(outputOf([part], 20_000), null)
    assert.match(questionText([part]), /^\(JSON .*deep/)
  })

  it('cuts a question after 4,000 characters', () => {
    assert.equal(questionText([{ kind: 'text', text: 'x'.repeat(5_000) }]).length, 4_000)
  })
})
