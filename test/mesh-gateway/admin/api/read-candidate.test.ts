/** What POST /api/replay is sent, as a client with bad intentions sends it. */
import assert from 'node:assert/strict'
import { BadQuestion, readCandidate } from '../../../../mesh-gateway/src/admin/api/read-question.ts'

describe('candidate files as documents', () => {
  const textOf = (document: unknown) => readCandidate({ files: { 'acme.json': document } })[0]?.text

  it('become a text no longer than what was sent, however deep they are', () => {
    const deep = JSON.parse(`{"a":${'['.repeat(500)}${'1,'.repeat(1_000)}1${']'.repeat(500)}}`)
    const text = textOf(deep) ?? ''
    assert.deepEqual(JSON.parse(text), deep)
    assert.ok(text.length <= JSON.stringify(deep).length, `${text.length} characters`)
  })

  it('are refused when they are deeper than they can be written', () => {
    const deepest = JSON.parse(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)
    assert.throws(
      () => textOf(deepest),
      (error) =>
        error instanceof BadQuestion && error.status === 400 && error.message.includes('acme.json'),
    )
  })

  it('keep their text as it is when they are one', () => {
    assert.equal(textOf('{ "tenant":\n"acme" }'), '{ "tenant":\n"acme" }')
  })
})
