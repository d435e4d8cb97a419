import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import type { Span } from '../../../agent-sdk/src/trace/span.ts'
import { createSpanRecorder } from '../../../agent-sdk/src/trace/span-recorder.ts'

describe('the span of a piece of work', () => {
  const failureOf = (failure: unknown): string | null => {
    const spans: Span[] = []
    const exporter = { add: (_id: string, span: Span) => spans.push(span), close: async () => {} }
    createSpanRecorder(exporter).begin({
      span: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
      ...{ parent: null, name: 'work', kind: 'client', attributes: {} },
    })(failure)
    const [span] = spans
    assert.ok(span !== undefined)
    return span.error
  }

  it('tells the code of an error, the name of its class, or the word that was given', () => {
    assert.equal(failureOf(null), null)
    assert.equal(failureOf(new MeshError('MESH_CALL_CANCELED', 'a secret')), 'MESH_CALL_CANCELED')
    assert.equal(failureOf(new TypeError('a secret')), 'TypeError')
    assert.equal(failureOf('503'), '503')
  })

  it('never tells the words of a failure, whatever was thrown: the reason of an abort may be anything', () => {
    const named = Object.assign(new Error('a secret'), { name: 'name with a secret' })
    const things = ['the user typed a secret', named, { secret: 'a secret' }, Object.create(null)]
    for (const thing of things) assert.equal(failureOf(thing), 'other')
    assert.equal(failureOf(Symbol('a secret')), 'other')
  })
})
