/** Ids of requests and durations are read and rounded in one way, whichever plane they come by. */
import assert from 'node:assert/strict'
import { durationMs, requestIdOf } from '../../../mesh-gateway/src/audit/request-facts.ts'
import { readCall } from '../../../mesh-gateway/src/delegation/call.ts'
import { startRecord } from '../../../mesh-gateway/src/egress/record.ts'

const CALL = [':path', '/a.B/C', ':authority', 'researcher.acme.mesh.internal']
const CLIENT = { ip: null, port: null, source: '', authenticated: true, setAuthenticated() {} }
const UUID = /^[0-9a-f-]{36}$/

function ofDelegation(ids: readonly string[]): string {
  return readCall([...CALL, ...ids.flatMap((id) => ['x-request-id', id])]).requestId
}

function ofEgress(ids: readonly string[]): string {
  const fields = ids.map((value) => ({ name: 'x-request-id', rawName: 'X-Request-Id', value }))
  return startRecord('GET', fields, CLIENT).requestId
}

describe('the id of a request', () => {
  for (const [ids, id] of [
    [['abc'], 'abc'],
    [['job:7.a_b-c'], 'job:7.a_b-c'],
    [['x'.repeat(128)], 'x'.repeat(128)],
    [['one', 'two'], 'one'],
    [['not good', 'two', 'three'], 'two'],
  ] as const)
    it(`is ${id.slice(0, 20)} of ${JSON.stringify(ids).slice(0, 40)}, on both planes`, () => {
      assert.deepEqual([ofDelegation(ids), ofEgress(ids)], [id, id])
    })

  for (const ids of [[], [''], ['a b'], ['a/b'], ['x'.repeat(129)], ['\u00e9']])
    it(`is a new one of ${JSON.stringify(ids).slice(0, 40)}, on both planes`, () => {
      for (const id of [ofDelegation(ids), ofEgress(ids), requestIdOf(ids[0])])
        assert.match(id, UUID)
    })
})

describe('the duration of a request', () => {
  it('is in milliseconds with three decimals', () => {
    assert.equal(durationMs(1.23456), 1.235)
    assert.equal(durationMs(12), 12)
  })
})
