import assert from 'node:assert/strict'
import type { Part } from '@clawmesh/agent-sdk'
import { promptAfter, promptFor } from '../../../openclaw-plugin/src/inbound/turn-prompt.ts'

const text = (words: string): readonly Part[] => [{ kind: 'text', text: words }]
const file = (words: string): readonly Part[] => [
  { kind: 'bytes', bytes: Buffer.from(words), mediaType: 'text/plain' },
]
const TOO_LONG = { code: 'MESH_LIMIT_SIZE', message: /longer than 400000 characters/ }

describe('the prompt of a turn for a peer', () => {
  it('is the text of the caller, and each further run is told what it has said and what it was answered', () => {
    const prompt = promptFor({ input: text('which year?') })
    assert.equal(prompt, 'which year?')
    assert.match(
      promptAfter(prompt, 'I wait', text('2026')),
      /^which year\?\n\n.*\nI wait\n\nThe caller answers:\n2026$/s,
    )
  })

  it('is bounded, whether the caller sends it as text, as a file, or as answers bit by bit', () => {
    const half = 'x'.repeat(200_000)
    assert.throws(() => promptFor({ input: text(half + half + half) }), TOO_LONG)
    assert.throws(() => promptFor({ input: file(half + half + half) }), TOO_LONG)
    const prompt = promptFor({ input: text(half) })
    assert.ok(promptAfter(prompt, '', text('short')).length > half.length)
    assert.throws(() => promptAfter(prompt, '', text(half)), TOO_LONG)
    assert.throws(() => promptAfter(prompt, '', file(half)), TOO_LONG)
  })
})
