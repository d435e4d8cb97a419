import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createKnownEndpoints } from '../../../../mesh-gateway/src/delegation/upstream/known-endpoints.ts'
import {
  createOwnReplicaMarks,
  createReplicaMarks,
} from '../../../../mesh-gateway/src/delegation/upstream/replica.ts'

const one = { ip: '10.0.0.1', port: 7443, priority: 0 }
const other = { ip: '10.0.0.2', port: 7443, priority: 0 }

describe('marks of replicas', () => {
  it('are the same at each gateway that has the keys, and tell nothing to who has none', () => {
    const keys = [randomBytes(32)]
    const at = () => createReplicaMarks({ keys: () => keys, generation: () => 1 })
    assert.equal(at().of(one.ip, one.port), at().of(one.ip, one.port))
    assert.notEqual(at().of(one.ip, one.port), at().of(other.ip, other.port))
    assert.notEqual(createOwnReplicaMarks().of(one.ip, one.port), at().of(one.ip, one.port))
  })

  it('that were given before a key rotated are known until that key ends', () => {
    let keys = [randomBytes(32)]
    let generation = 1
    const marks = createReplicaMarks({ keys: () => keys, generation: () => generation })
    const known = createKnownEndpoints(marks, 10)
    known.know(one)
    known.know(other)
    const before = marks.of(one.ip, one.port)
    assert.equal(known.byMark(before), one)
    keys = [randomBytes(32), ...keys]
    generation += 1
    assert.notEqual(marks.of(one.ip, one.port), before)
    assert.equal(known.byMark(before), one)
    assert.equal(known.byMark(marks.of(other.ip, other.port)), other)
    keys = keys.slice(0, 1)
    generation += 1
    assert.equal(known.byMark(before), null)
  })

  it('are made with keys that are derived once for each generation', () => {
    let derived = 0
    let generation = 1
    const keys = () => {
      derived += 1
      return [Buffer.alloc(32, generation)]
    }
    const marks = createReplicaMarks({ keys, generation: () => generation })
    const known = createKnownEndpoints(marks, 100)
    for (let port = 1; port <= 100; port += 1) known.know({ ...one, port })
    const before = marks.of(one.ip, 7)
    assert.equal(known.byMark(before)?.port, 7)
    assert.equal(derived, 1)
    generation += 1
    assert.equal(known.byMark(before), null)
    assert.equal(derived, 2)
  })

  it('find no more addresses than are to be remembered', () => {
    const marks = createOwnReplicaMarks()
    const known = createKnownEndpoints(marks, 2)
    const ports = [1, 2, 3]
    for (const port of ports) known.know({ ...one, port })
    assert.deepEqual(
      ports.map((port) => known.byMark(marks.of(one.ip, port))?.port ?? null),
      [null, 2, 3],
    )
  })
})
