/** The gateway's own answers: whatever is put into one, it stays one. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { Refused } from '../../../mesh-gateway/src/egress/refused.ts'
import { formatAnswer, formatRefusal } from '../../../mesh-gateway/src/egress/respond.ts'

const HOSTILE = 'a\r\nSet-Cookie: b\r\n\r\nHTTP/1.1 200 OK\r\n\0\x1b[31m\u00e9\u2028\ud800'

describe('an answer of the gateway', () => {
  it('is not split by what stands in its reason or its fields', () => {
    const text = formatAnswer({
      status: 403,
      reason: HOSTILE,
      headers: { 'x-a': HOSTILE, 'x-b': [HOSTILE, HOSTILE] },
      body: '{}',
      keptMs: null,
    })
    const [head = '', ...rest] = text.split('\r\n\r\n')
    assert.deepEqual(rest, ['{}'])
    assert.match(head, /^[\x20-\x7e\r\n]+$/)
    assert.deepEqual(
      head.split('\r\n').map((line) => line.split(/[: ]/, 1)[0]),
      ['HTTP/1.1', 'content-type', 'content-length', 'x-a', 'x-b', 'x-b', 'date', 'connection'],
    )
  })

  it('has a length that is right whatever its refusal says, and a bounded status line', () => {
    const error = new MeshError('MESH_POLICY_NOT_ALLOWED', HOSTILE.repeat(50), { hint: HOSTILE })
    for (const method of ['GET', 'CONNECT']) {
      const text = formatRefusal(new Refused('policy', error, HOSTILE), {
        requestId: 'r-1',
        method,
        keptMs: 5_000,
      })
      const at = text.indexOf('\r\n\r\n') + 4
      const length = Number(/content-length: (\d+)/.exec(text)?.[1])
      assert.equal(Buffer.from(text, 'latin1').length - at, length)
      assert.ok(text.indexOf('\r\n') < 300)
      assert.doesNotMatch(text, /^set-cookie/im)
      assert.equal(JSON.parse(text.slice(at)).rule, HOSTILE)
    }
  })
})
