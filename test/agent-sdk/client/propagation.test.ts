import assert from 'node:assert/strict'
import { Secret } from '@clawmesh/proto'
import {
  metadataOfDelegate,
  metadataOfTask,
  NOTHING_PROPAGATED,
} from '../../../agent-sdk/src/client/propagation.ts'

const CHAIN = { token: new Secret('the token'), expiresMs: 1_000 }
const HANDED_ON = { traceparent: 'a trace', chain: CHAIN }

describe('what calls hand on', () => {
  it('a call that starts a task presents the chain, ended or not: the gateway judges it, and no chain begins anew', () => {
    assert.deepEqual(metadataOfDelegate(HANDED_ON, 'id', new Date(1_234.5), undefined), {
      'x-mesh-task-deadline': '1234',
      'x-mesh-delegation-id': 'id',
      traceparent: 'a trace',
      'x-mesh-delegation': 'the token',
    })
  })

  it('a call outside of any chain or trace hands on neither', () => {
    assert.deepEqual(metadataOfDelegate(NOTHING_PROPAGATED, 'id', null, undefined), {
      'x-mesh-delegation-id': 'id',
    })
  })

  it('a call about a task presents the chain while its token holds, and not at the moment when it ends', () => {
    assert.equal(metadataOfTask(HANDED_ON, 'id', 999)['x-mesh-delegation'], 'the token')
    assert.deepEqual(metadataOfTask(HANDED_ON, 'id', 1_000), {
      'x-mesh-delegation-id': 'id',
      traceparent: 'a trace',
    })
    assert.deepEqual(metadataOfTask({ traceparent: null, chain: null }, '', 0), {})
  })

  it('a deadline is what metadata can say, from 1970 to 2286', () => {
    const said = (ms: number) =>
      metadataOfDelegate(HANDED_ON, 'id', new Date(ms), undefined)['x-mesh-task-deadline']
    assert.equal(said(-5), '0')
    assert.equal(said(8.64e15), '9999999999999')
    assert.equal(
      metadataOfDelegate(HANDED_ON, 'id', null, undefined)['x-mesh-task-deadline'],
      undefined,
    )
  })

  it('what narrows is said as it is, an empty list as one that allows nothing, and no word splits another', () => {
    const said = (narrow: object) => metadataOfDelegate(HANDED_ON, 'id', null, narrow)
    assert.equal(
      said({ destinations: ['a.test', '*.b.test'] })['x-mesh-narrow-destinations'],
      'a.test,*.b.test',
    )
    assert.equal(said({ scope: ['read', 'write'] })['x-mesh-narrow-scope'], 'read write')
    assert.equal(said({ destinations: [] })['x-mesh-narrow-destinations'], '')
    assert.equal('x-mesh-narrow-scope' in said({ destinations: [] }), false)
    for (const word of ['a,b', 'a b', '', 'a\n', 'ä', 5, null])
      assert.throws(() => said({ scope: [word] }), TypeError, String(word))
    assert.throws(() => said({ scope: 'read' }), /narrow\.scope: must be a list/)
    assert.throws(() => said({ scopes: ['read'] }), /narrow\.scopes: is no option/)
  })
})
