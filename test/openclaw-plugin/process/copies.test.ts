import assert from 'node:assert/strict'
import type { Mesh } from '../../../openclaw-plugin/src/core/contract.ts'
import { copiesOf } from '../../../openclaw-plugin/src/process/copies.ts'

function standIn() {
  const seen = { loads: 0, closes: 0 }
  const mesh: Mesh = {
    ...{ begin: () => {}, release: () => {}, adopt: () => {}, servesIn: () => false },
    run: async () => ({ text: '', isError: false, details: {} }),
    guard: async () => null,
    close: async () => {
      seen.closes += 1
    },
  }
  const load = async () => {
    seen.loads += 1
    return mesh
  }
  return { seen, load, mesh }
}

describe('copies of the plugin in one process', () => {
  it('load the SDK once, and share what it makes', async () => {
    const host = {}
    const { seen, load, mesh } = standIn()
    const [first, second] = [copiesOf(host, 'b1', load), copiesOf(host, 'b1', load)]
    assert.equal(first.loaded(), null)
    assert.deepEqual(await Promise.all([first.mesh(), second.mesh()]), [mesh, mesh])
    assert.equal(second.loaded(), mesh)
    assert.equal(seen.loads, 1)
  })

  it('of another build give up what the old ones hold', async () => {
    const host = {}
    const [old, fresh] = [standIn(), standIn()]
    await copiesOf(host, 'b1', old.load).mesh()
    await copiesOf(host, 'b2', fresh.load).mesh()
    assert.deepEqual([old.seen.closes, fresh.seen.loads], [1, 1])
  })

  it('begin anew after they were closed', async () => {
    const host = {}
    const { seen, load } = standIn()
    await copiesOf(host, 'b1', load).mesh()
    await copiesOf(host, 'b1', load).close()
    await copiesOf(host, 'b1', load).mesh()
    assert.deepEqual([seen.closes, seen.loads], [1, 2])
  })

  it('are not fooled by a value of somebody else', async () => {
    for (const value of [5, null, 'x', {}, { build: 'b1' }]) {
      const host = { [Symbol.for('@clawmesh/openclaw-plugin')]: value }
      const { seen, load } = standIn()
      await copiesOf(host, 'b1', load).mesh()
      assert.equal(seen.loads, 1)
    }
  })

  it('note the trace of a call until it begins, and forget the oldest notes', () => {
    const { traces } = copiesOf({}, 'b1', standIn().load)
    traces.put('call_1', 'trace 1')
    assert.equal(traces.take('call_1'), 'trace 1')
    assert.equal(traces.take('call_1'), null)
    for (let at = 0; at < 2_000; at += 1) traces.put(`call_${at}`, String(at))
    assert.equal(traces.take('call_1'), null)
    assert.equal(traces.take('call_1999'), '1999')
  })
})
