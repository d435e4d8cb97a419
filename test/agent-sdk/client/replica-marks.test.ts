import assert from 'node:assert/strict'
import { Metadata } from '@grpc/grpc-js'
import { createReplicaMarks } from '../../../agent-sdk/src/client/replica-marks.ts'

const of = (fields: Record<string, string>) => {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value)
  return metadata
}
const about = (id: string) => of({ 'x-mesh-delegation-id': id })
const marked = (mark: string) => of({ 'x-mesh-replica': mark })

describe('marks of replicas', () => {
  const shown = (marks: ReturnType<typeof createReplicaMarks>, metadata: Metadata) => {
    marks.show(metadata)
    return metadata.get('x-mesh-replica')
  }

  it('are shown with calls about the delegation that they came with, the latest one', () => {
    const marks = createReplicaMarks()
    assert.deepEqual(shown(marks, about('one')), [])
    marks.keep(about('one'), marked('first'))
    marks.keep(about('one'), marked('second'))
    assert.deepEqual(shown(marks, about('one')), ['second'])
    assert.deepEqual(shown(marks, about('other')), [])
    assert.deepEqual(shown(marks, new Metadata()), [])
  })

  it('are not taken from an answer without one, nor from one to a call about nothing', () => {
    const marks = createReplicaMarks()
    marks.keep(about('one'), marked('first'))
    marks.keep(about('one'), new Metadata())
    assert.deepEqual(shown(marks, about('one')), ['first'])
    marks.keep(new Metadata(), marked('lost'))
    assert.deepEqual(shown(marks, new Metadata()), [])
  })

  it('are kept for a thousand delegations: what was heard of last stays', () => {
    const marks = createReplicaMarks()
    for (let i = 0; i < 1_000; i += 1) marks.keep(about(`${i}`), marked('m'))
    assert.deepEqual(shown(marks, about('0')), ['m'])
    marks.keep(about('0'), marked('again'))
    marks.keep(about('1000'), marked('m'))
    assert.deepEqual(shown(marks, about('0')), ['again'])
    assert.deepEqual(shown(marks, about('1')), [])
    assert.deepEqual(shown(marks, about('2')), ['m'])
  })
})
