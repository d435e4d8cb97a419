/** The data of one direction: gathered within a turn, held up by a slow reader, dropped where nobody reads. */
import assert from 'node:assert/strict'
import { Duplex, PassThrough } from 'node:stream'
import { type PumpOptions, pump } from '../../../../mesh-gateway/src/delegation/carry/pump.ts'

const turn = () => new Promise(setImmediate)

describe('the data of one direction', () => {
  const start = (more: Partial<PumpOptions> = {}, slow = false) => {
    const from = new PassThrough()
    const chunks: string[] = []
    const goOns: (() => void)[] = []
    const to = new PassThrough({ highWaterMark: slow ? 1 : 1e6 })
    const write = to.write.bind(to)
    to.write = (chunk: Buffer) => {
      chunks.push(String(chunk).length > 20 ? String(chunk.length) : String(chunk))
      return write(chunk)
    }
    const ends: (string | null)[] = []
    let bytes = 0
    const moved = pump({
      ...{ from, to },
      count(n) {
        bytes += n
      },
      end: (last) => void ends.push(last === null ? null : String(last)),
      ...more,
    })
    return { from, to, chunks, goOns, ends, moved, bytes: () => bytes }
  }

  it('of one tick is gathered, up to 4 KiB, in its order; its end is told with what is left', async () => {
    const { from, chunks, ends, bytes } = start()
    from.write('ab')
    from.write('cd')
    await turn()
    assert.deepEqual(chunks.splice(0), ['abcd'])
    from.emit('data', Buffer.alloc(4_095))
    from.emit('data', Buffer.from('x'))
    from.emit('data', Buffer.from('y'))
    await turn()
    assert.deepEqual(chunks.splice(0), ['4096', 'y'])
    from.emit('data', Buffer.from('last'))
    from.emit('end')
    await turn()
    assert.deepEqual([chunks, ends], [[], ['last']])
    assert.equal(bytes(), 4 + 4_096 + 1 + 4)
    const empty = start()
    empty.from.end()
    await turn()
    assert.deepEqual(empty.ends, [null])
  })

  it('waits for a slow reader, and says so for as long as it does', async () => {
    const stalls: string[] = []
    const { from, to } = start(
      {
        onStall(of) {
          stalls.push(of === to ? 'stalled' : 'another')
          return () => void stalls.push('goes on')
        },
      },
      true,
    )
    from.write('some')
    await turn()
    assert.deepEqual([stalls, from.isPaused()], [['stalled'], true])
    to.resume()
    await turn()
    assert.deepEqual([stalls, from.isPaused()], [['stalled', 'goes on'], false])
  })

  it('is told before it is written, and dropped where nobody takes it, so that the stream can end', async () => {
    const written: string[] = []
    const { from, moved, chunks } = start({
      to: null,
      onWrite: (chunk) => void written.push(String(chunk)),
    })
    from.write('early')
    await turn()
    assert.deepEqual([written.splice(0), chunks], [['early'], []])
    const other = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
    const got: string[] = []
    other.write = (chunk: Buffer) => {
      got.push(String(chunk))
      return true
    }
    moved.divert(other)
    from.write('late')
    await turn()
    assert.deepEqual([written, got], [['late'], ['late']])
    other.destroy()
    from.write('dropped')
    await turn()
    assert.deepEqual(got, ['late'])
    assert.equal(from.isPaused(), false)
  })
})
