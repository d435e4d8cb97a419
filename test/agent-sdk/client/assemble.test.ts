import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createAssembler } from '../../../agent-sdk/src/client/assemble.ts'

const head = { id: 'x', seq: 1, time: new Date(0) }
const chunk = (index: number, data: string, sha256: string | null = null, name = 'f') => ({
  ...head,
  body: {
    ...{ kind: 'artifact' as const, name, mediaType: '', index, data: Buffer.from(data) },
    ...{ last: sha256 !== null, sha256 },
  },
})
const sha = (text: string) => createHash('sha256').update(text).digest('hex')

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

describe('artifacts that arrive', () => {
  it('are put together and verified', () => {
    const { take, artifacts } = createAssembler(1e6, true)
    take(chunk(0, 'ab'))
    take(chunk(1, 'cd', sha('abcd')))
    assert.equal(Buffer.from(artifacts().get('f')?.bytes ?? []).toString(), 'abcd')
  })

  it('with another hash, a missing chunk or a second beginning are refused', () => {
    const refused = { code: 'MESH_PEER_PROTOCOL' }
    assert.throws(() => createAssembler(1e6, true).take(chunk(0, 'ab', sha('other'))), refused)
    assert.throws(() => createAssembler(1e6, true).take(chunk(1, 'ab')), refused)
    for (const gather of [true, false]) {
      const twice = createAssembler(1e6, true, gather)
      twice.take(chunk(0, 'a', sha('a')))
      assert.throws(() => twice.take(chunk(0, 'b', sha('b'))), refused)
      assert.throws(() => twice.take(chunk(1, 'b', sha('ab'))), refused, 'it is whole already')
      const begun = createAssembler(1e6, true, gather)
      begun.take(chunk(0, 'a'))
      assert.throws(() => begun.take(chunk(0, 'b')), refused)
      const gap = createAssembler(1e6, true, gather)
      gap.take(chunk(0, 'a'))
      assert.throws(() => gap.take(chunk(2, 'b')), refused)
    }
  })

  it('seen from their middle are passed on as they are', () => {
    const { take } = createAssembler(1e6, false)
    assert.equal(take(chunk(5, 'ab'))?.kind, 'artifact')
  })

  it('count their bytes and 1 KiB each: at the bound they are held, one byte beyond it none is', () => {
    const two = 2 * 1024
    const run = (maxBytes: number) => {
      const { take, artifacts } = createAssembler(maxBytes, true)
      for (const name of ['f', 'g']) {
        take(chunk(0, 'ab', null, name))
        take(chunk(1, 'cd', sha('abcd'), name))
      }
      return artifacts
    }
    const held = [...run(two + 8)().values()]
    assert.deepEqual(
      held.map(({ bytes }) => Buffer.from(bytes).toString()),
      ['abcd', 'abcd'],
    )
    assert.throws(run(two + 7), { code: 'MESH_LIMIT_SIZE' })
  })

  it('begin at the bound, and what comes from nowhere is refused there too', () => {
    const { take, artifacts } = createAssembler(1024, true)
    take(chunk(0, '', sha('')))
    assert.equal(artifacts().size, 1)
    assert.throws(() => take(chunk(1, '', sha(''), 'g')), { code: 'MESH_PEER_PROTOCOL' })
  })

  it('that are not gathered may be of any size: each is verified, and none of their bytes is held', async () => {
    const maxBytes = 4 * 1024
    const { take, artifacts } = createAssembler(maxBytes, true, false)
    const large = 'x'.repeat(2 * maxBytes)
    const data: WeakRef<object>[] = []
    const send = (index: number, sum: string | null) => {
      const event = chunk(index, large, sum)
      data.push(new WeakRef(event.body.data))
      assert.equal(take(event)?.kind, 'artifact')
    }
    send(0, null)
    await new Promise(setImmediate)
    collect()
    assert.equal(data[0]?.deref(), undefined)
    send(1, sha(large + large))
    assert.equal(artifacts().size, 0)
    assert.throws(() => take(chunk(0, 'ab', sha('other'), 'g')), { code: 'MESH_PEER_PROTOCOL' })
  })

  it('that no longer fit are passed on as they are, and none of their bytes is held', async () => {
    const large = chunk(0, 'x'.repeat(8_192))
    const data = new WeakRef(large.body.data)
    const bounded = createAssembler(4_096, true)
    const pass = (event: typeof large) => assert.equal(bounded.take(event)?.kind, 'artifact')
    pass(large)
    large.body.data = Buffer.alloc(0)
    await new Promise(setImmediate)
    collect()
    assert.equal(data.deref(), undefined)
    const { take, artifacts } = createAssembler(1024, true)
    take(chunk(0, ''))
    assert.equal(take(chunk(0, 'ab', sha('other'), 'g'))?.kind, 'artifact')
    assert.throws(artifacts, { code: 'MESH_LIMIT_SIZE' })
  })

  it('more than the caller wants to hold are not held: the events still come, the gathering says so', () => {
    const { take, artifacts } = createAssembler(10_000, true)
    for (let i = 0; i < 10_000; i += 1)
      assert.equal(take(chunk(0, '', sha(''), `f${i}`))?.kind, 'artifact')
    assert.throws(artifacts, { code: 'MESH_LIMIT_SIZE' })
  })
})

describe('what arrives', () => {
  const result = (text: string, more: boolean, continues: boolean) => ({
    ...head,
    body: {
      kind: 'result' as const,
      piece: { output: [{ media_type: '', content: 'text', text }], more, continues },
    },
  })

  it('of a result is shown once, when its last piece has come', () => {
    const { take } = createAssembler(1e6, true)
    assert.equal(take(result('hel', true, false)), null)
    const event = take(result('lo', false, true))
    assert.ok(event?.kind === 'result')
    assert.deepEqual(
      event.output.map((part) => part.kind === 'text' && part.text),
      ['hello'],
    )
  })

  it('and is no event to a caller is not shown: heartbeats, and kinds of a later version', () => {
    const { take } = createAssembler(1e6, true)
    assert.equal(take({ ...head, body: { kind: 'heartbeat' } }), null)
    assert.equal(take({ ...head, body: { kind: 'unknown' } }), null)
    const message = { kind: 'message' as const, text: 'm' }
    assert.deepEqual(take({ ...head, body: message }), { ...head, ...message })
  })
})
