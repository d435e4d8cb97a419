/** What peers have said of their skills is kept for five minutes, and checked by until then. */
import assert from 'node:assert/strict'
import { createKnownSkills } from '../../../agent-sdk/src/client/known-skills.ts'
import type { Part } from '../../../agent-sdk/src/model/part.ts'

describe('what a peer has said of its skills', () => {
  let nowMs: number
  beforeEach(() => {
    nowMs = 0
  })
  const make = () => createKnownSkills(() => nowMs)
  const described = (input: object | null, output: object | null = null) => [
    { name: 's', description: '', input: { ...input }, output: { ...output }, faults: [] },
  ]
  const json = (value: unknown): Part[] => [{ kind: 'json', json: value }]
  const codeOf = (check: () => void) => {
    try {
      check()
      return null
    } catch (error) {
      return String(Reflect.get(Object(error), 'code'))
    }
  }

  it('is checked by until it is five minutes old, or said anew', () => {
    const known = make()
    const check = () => codeOf(() => known.checkInput('p', 's', json('text')))
    assert.equal(check(), null)
    known.remember('p', described({ type: 'number' }))
    assert.equal(check(), 'MESH_TASK_INPUT_INVALID')
    nowMs = 299_999
    assert.equal(check(), 'MESH_TASK_INPUT_INVALID')
    nowMs = 300_000
    assert.equal(check(), null)
    known.remember('p', described({ type: 'number' }))
    known.remember('p', described({ type: 'string' }))
    assert.equal(check(), null)
    known.remember('p', [])
    assert.equal(check(), null)
  })

  it('is of that peer and that skill alone', () => {
    const known = make()
    known.remember('p', described({ type: 'number' }, { type: 'number' }))
    assert.equal(
      codeOf(() => known.checkOutput('p', 's', json('x'))),
      'MESH_TASK_OUTPUT_INVALID',
    )
    assert.equal(
      codeOf(() => known.checkOutput('q', 's', json('x'))),
      null,
    )
    assert.equal(
      codeOf(() => known.checkOutput('p', 't', json('x'))),
      null,
    )
  })

  it('is about the first JSON part, else all text, else null; as JSON writes it', () => {
    const known = make()
    const check = (schema: object, parts: Part[]) => {
      known.remember('p', described(schema))
      return codeOf(() => known.checkInput('p', 's', parts))
    }
    const text = (words: string): Part => ({ kind: 'text', text: words })
    assert.equal(check({ const: 'ab' }, [text('a'), text('b')]), null)
    assert.equal(check({ const: 1 }, [text('a'), ...json(1), ...json(2)]), null)
    assert.equal(check({ const: null }, [{ kind: 'bytes', bytes: new Uint8Array() }]), null)
    assert.equal(check({ type: 'string' }, json(new Date(0))), null)
    assert.equal(check({ maxProperties: 0 }, json({ left: undefined })), null)
    assert.equal(check({ const: null }, json(5n)), null, 'what is no JSON is refused elsewhere')
  })

  it('is forgotten of the oldest peer beyond 256', () => {
    const known = make()
    for (let peer = 0; peer <= 256; peer += 1)
      known.remember(String(peer), described({ type: 'number' }))
    const check = (peer: string) => codeOf(() => known.checkInput(peer, 's', json('x')))
    assert.deepEqual(
      [check('0'), check('1'), check('256')],
      [null, 'MESH_TASK_INPUT_INVALID', 'MESH_TASK_INPUT_INVALID'],
    )
  })
})
