import assert from 'node:assert/strict'
import type { ServerHttp2Stream } from 'node:http2'
import * as h2 from '../../../support/raw-http2.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { type Battlefield, callFrame, openBattlefield } from './battlefield.ts'

const BUFFERED = 16 << 20

describe('callers that do not read', () => {
  let field: Battlefield
  let peer: string
  /** Bytes taken from the callee, by stream; none of those that have ended. */
  const taken: number[] = []

  before(async () => {
    field = await openBattlefield({ guard: { bufferedBytes: BUFFERED } })
    const chunk = Buffer.alloc(65_536)
    const flooder = await field.mesh.peer('flooder', (stream: ServerHttp2Stream) => {
      const at = taken.push(0) - 1
      stream.once('close', () => {
        taken[at] = 0
      })
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
      const more = () => {
        while (!stream.destroyed) {
          taken[at] = (taken[at] ?? 0) + chunk.length
          if (!stream.write(chunk)) return
        }
      }
      stream.on('drain', more)
      more()
    })
    peer = flooder.name
  })
  after(() => field.close())
  afterEach(async () => {
    taken.length = 0
    await field.unharmed()
  })

  /** The same twice, a while apart. */
  async function standstill(): Promise<number> {
    let before = -1
    return await waitFor(
      'a standstill',
      () => {
        const sum = taken.reduce((a, b) => a + b, 0)
        if (sum > 0 && sum === before) return sum
        before = sum
        return null
      },
      { everyMs: 150 },
    )
  }

  it('with a window of nothing, or of a byte at a time, hold a window and no more', async () => {
    for (const window of [0, 1]) {
      taken.length = 0
      const side = await field.attack([[h2.SETTING.INITIAL_WINDOW_SIZE, window]])
      await side.send(callFrame(1, peer))
      await side.frame((got) => got.type === h2.FRAME.HEADERS)
      for (let i = 0; i < 50; i += 1) await side.send(h2.windowFrame(1, 1))
      const sum = await standstill()
      assert.ok(sum <= 5 << 20, `${sum} bytes were taken from the callee`)
      side.socket.destroy()
    }
  })

  it('hold together what is allowed to all, however many there are', async () => {
    field.mesh.records.length = 0
    const side = await field.attack([[h2.SETTING.INITIAL_WINDOW_SIZE, 0]])
    const calls = 100
    await side.send(...Array.from({ length: calls }, (_, i) => callFrame(i * 2 + 1, peer)))
    const ended = () => field.mesh.records.filter((one) => one.reason === 'MESH_LIMIT_SIZE').length
    await waitFor('the slowest to be ended', () => ended() > 20)
    // what the callee wrote counts its own buffers as well: a chunk for each call
    const held = () => taken.reduce((a, b) => a + b, 0)
    await waitFor('what is held to be bounded', () => held() <= BUFFERED + calls * 131_072)
    assert.ok(ended() < calls, 'all were ended')
    side.socket.destroy()
  })

  it('that read are not bothered by those that do not', async () => {
    const side = await field.attack([[h2.SETTING.INITIAL_WINDOW_SIZE, 1 << 20]])
    await side.send(callFrame(1, peer))
    side.onFrame((got) => {
      if (got.type !== h2.FRAME.DATA || got.payload.length === 0) return
      const { length } = got.payload
      side.send(h2.windowFrame(0, length), h2.windowFrame(1, length))
    })
    await waitFor('16 MiB', () => side.dataBytes > 16 << 20)
    side.socket.destroy()
  })
})
