/** A file that a task sends in chunks, and goes on sending in its next run; read back by the history of the task. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readHistory } from '../../../agent-sdk/src/tasks/history.ts'
import { type ArtifactData, sendArtifact } from '../../../agent-sdk/src/tasks/send-artifact.ts'
import { startOneTask } from './one-task.ts'

const PIECE = 1024 * 1024
const sha = (data: Uint8Array | string) => createHash('sha256').update(data).digest('hex')

async function* from(...chunks: readonly Uint8Array[]) {
  yield* chunks
}

describe('an artifact', () => {
  const start = () => {
    const task = startOneTask({ task: { detached: true } })
    const head = { name: 'f', mediaType: 'text/plain' }
    const send = async (data: ArtifactData, name = 'f') =>
      sendArtifact(
        task.live,
        { ...head, name },
        data,
        (await readHistory(task.store, task.live.record())).artifacts.get(name),
      )
    const chunks = () => task.told().flatMap((body) => (body.kind === 'artifact' ? [body] : []))
    return { ...task, send, chunks }
  }
  /** What a run sent before its process died: chunks of these sizes, the last one as the last. */
  const left = (sizes: readonly number[], byte = 7, whole = false) => {
    const task = start()
    const hash = createHash('sha256')
    sizes.forEach((size, index) => {
      const data = Buffer.alloc(size, byte)
      hash.update(data)
      const last = whole && index === sizes.length - 1
      const sha256 = last ? hash.copy().digest('hex') : null
      const piece = { name: 'f', mediaType: 'text/plain', index, data, last, sha256 }
      task.live.emit({ kind: 'artifact', ...piece })
    })
    return task
  }

  it('is cut into chunks of 1 MiB, the last of which carries the hash of all', async () => {
    const { send, chunks } = start()
    const data = Buffer.alloc(2 * PIECE + 1, 7)
    assert.deepEqual(await send(data), { name: 'f', sha256: sha(data), bytes: data.length })
    assert.deepEqual(
      chunks().map(({ index, data, last, sha256 }) => [index, data.length, last, sha256]),
      [
        [0, PIECE, false, null],
        [1, PIECE, false, null],
        [2, 1, true, sha(data)],
      ],
    )
    assert.ok(chunks().every(({ mediaType }) => mediaType === 'text/plain'))
  })

  it('of nothing is one empty chunk; a text is its UTF-8', async () => {
    for (const data of ['', new Uint8Array(), from()]) {
      const { send, chunks } = start()
      assert.deepEqual(await send(data), { name: 'f', sha256: sha(''), bytes: 0 })
      assert.deepEqual(
        chunks().map(({ data, last }) => [data.length, last]),
        [[0, true]],
      )
    }
    const { send, chunks } = start()
    await send('ä\ud800')
    assert.equal(Buffer.from(chunks()[0]?.data ?? []).toString(), 'ä\ufffd')
  })

  it('of a stream is taken chunk by chunk: the skill may use its buffer again, and chunks are bytes', async () => {
    const { send, chunks } = start()
    const buffer = Buffer.alloc(3, 'a')
    await send(
      (async function* () {
        yield buffer
        buffer.fill('b')
        yield buffer
        buffer.fill('c')
      })(),
    )
    assert.deepEqual(
      chunks().map(({ data }) => Buffer.from(data).toString()),
      ['aaa', 'bbb'],
    )
    async function* strings(): AsyncGenerator<Uint8Array> {
      yield* JSON.parse('["text"]')
    }
    await assert.rejects(start().send(strings()), /a chunk is not a Uint8Array/)
  })

  it('is sent no further once the task has ended', async () => {
    const { live, send, chunks } = start()
    const ends = async function* (last: boolean) {
      yield Buffer.from('one')
      yield Buffer.from('two')
      live.fail({ state: 'canceled', code: 'X', message: 'm', retryable: false })
      if (!last) yield Buffer.from('three')
    }
    await assert.rejects(send(ends(false)), { code: 'MESH_TASK_CANCELED' })
    assert.equal(chunks().length, 1)
    await assert.rejects(send(ends(true)), { code: 'MESH_TASK_CANCELED' })
  })

  it('is on disk, chunk by chunk, before the next one is asked for', async () => {
    let written = 0
    let flushed = 0
    const task = startOneTask({
      task: { detached: true },
      store: (inner) => ({
        ...inner,
        append(...args) {
          written += 1
          return inner.append(...args)
        },
        flush() {
          flushed = written
        },
      }),
    })
    const behind: number[] = []
    const data = async function* () {
      for (let i = 0; i < 4; i += 1) {
        behind.push(written - flushed)
        yield Buffer.from('x')
      }
    }
    await sendArtifact(task.live, { name: 'f', mediaType: '' }, data(), undefined)
    assert.deepEqual(behind, [0, 0, 0, 0])
    assert.deepEqual([written, flushed], [4, 4])
  })

  describe('that an earlier run began', () => {
    const changed = { code: 'MESH_TASK_ARTIFACT_CHANGED' }

    it('goes on where it broke off, and its hash is that of all of it', async () => {
      const { send, chunks } = left([5, 3])
      const data = Buffer.alloc(20, 7)
      assert.deepEqual(await send(data), { name: 'f', sha256: sha(data), bytes: 20 })
      assert.deepEqual(
        chunks().map(({ index, data, last, sha256 }) => [index, data.length, last, sha256]),
        [
          [0, 5, false, null],
          [1, 3, false, null],
          [2, 12, true, sha(data)],
        ],
      )
    })

    it('and sent all of it but its end, ends with an empty chunk', async () => {
      const { send, chunks } = left([5, 3])
      await send(Buffer.alloc(8, 7))
      const last = chunks().at(-1)
      assert.deepEqual([last?.index, last?.data.length, last?.last], [2, 0, true])
    })

    it('and sent whole, is sent no more', async () => {
      const { send, chunks } = left([5, 3], 7, true)
      const data = Buffer.alloc(8, 7)
      assert.deepEqual(await send(data), { name: 'f', sha256: sha(data), bytes: 8 })
      assert.equal(chunks().length, 2)
    })

    it('must be made of the same bytes: as many, the same ones, and no more where it was whole', async () => {
      const run = (of: ReturnType<typeof left>, data: ArtifactData) =>
        assert.rejects(of.send(data), changed)
      await run(left([5, 3]), Buffer.alloc(20, 8))
      await run(left([5, 3]), Buffer.alloc(7, 7))
      await run(left([5, 3]), from())
      await run(left([5, 3], 7, true), Buffer.alloc(9, 7))
      await run(left([5, 3], 7, true), Buffer.alloc(8, 8))
      await run(left([5, 3], 7, true), Buffer.alloc(7, 7))
      await run(left([0], 7, true), Buffer.alloc(1, 7))
    })

    it('in stretches that do not fit those of before, goes on all the same', async () => {
      const { send, chunks } = left([PIECE, 5])
      const data = Buffer.alloc(2 * PIECE + 20, 7)
      const parts = [data.subarray(0, 3), data.subarray(3, PIECE + 9), data.subarray(PIECE + 9)]
      assert.equal((await send(from(...parts))).sha256, sha(data))
      assert.equal(
        chunks().reduce((sum, { data }) => sum + data.length, 0),
        data.length,
      )
    })
  })
})

describe('the history of a task', () => {
  it('has its answers and its artifacts, also those after many events', async () => {
    const { live, store } = startOneTask({ task: { detached: true } })
    const answer = [{ kind: 'text' as const, text: 'yes' }]
    for (let i = 0; i < 40; i += 1) live.emit({ kind: 'message', text: `${i}` })
    live.emit({ kind: 'input-received', inputId: '1', answer })
    const piece = { kind: 'artifact' as const, mediaType: '', data: Buffer.from('ab') }
    live.emit({ ...piece, name: 'f', index: 0, last: false, sha256: null })
    live.emit({ ...piece, name: 'g', index: 0, last: true, sha256: sha('ab') })
    live.emit({ ...piece, name: 'f', index: 1, last: false, sha256: null })
    const { answers, artifacts } = await readHistory(store, live.record())
    assert.deepEqual([...answers], [['1', answer]])
    assert.deepEqual(
      [...artifacts],
      [
        ['f', { next: 2, bytes: 4, sha256: sha('abab'), whole: false }],
        ['g', { next: 1, bytes: 2, sha256: sha('ab'), whole: true }],
      ],
    )
  })

  it('ends where the store has no more events, and lets others have their turn', async () => {
    const { live, store } = startOneTask({ task: { detached: true } })
    for (let i = 0; i < 64; i += 1) live.emit({ kind: 'message', text: `${i}` })
    let turns = 0
    let over = false
    const count = () => {
      turns += 1
      if (!over) setImmediate(count)
    }
    setImmediate(count)
    await readHistory(store, live.record())
    over = true
    assert.ok(turns >= 4, `${turns} turns`)
    const short = { ...store, eventAfter: () => null }
    assert.equal((await readHistory(short, live.record())).answers.size, 0)
  })
})
