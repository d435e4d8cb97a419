/** Bodies of requests: each within a bound and a time, and all together within another bound. */
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { AROUND_DATA_BYTES } from '../../../../mesh-gateway/src/delegation/client/meter.ts'
import type { HttpRequest } from '../../../../mesh-gateway/src/delegation/mcp/http.ts'
import { createBodies } from '../../../../mesh-gateway/src/delegation/mcp/read-body.ts'

class Request extends PassThrough implements HttpRequest {
  readonly httpVersionMajor = 1
  readonly rawHeaders = []
}

describe('the body of a request', () => {
  const bodies = (timeoutMs = 60_000) =>
    createBodies({ maxBytes: 10, maxTotalBytes: 15, timeoutMs })
  const meter = () => ({ bytes: 0 })
  /** A body that is being read, and has brought this much so far. */
  async function reading(all: ReturnType<typeof bodies>, text: string) {
    const request = new Request()
    const body = all.read(request, meter())
    body.catch(() => {})
    request.write(text)
    await new Promise(setImmediate)
    return { request, body }
  }

  it('is what came, in whatever pieces, and is counted with what is around each piece', async () => {
    const [all, count] = [bodies(), meter()]
    const request = new Request()
    const body = all.read(request, count)
    for (const piece of ['one', 'two', '!']) {
      request.write(piece)
      await new Promise(setImmediate)
    }
    request.end()
    assert.equal(String(await body), 'onetwo!')
    assert.equal(count.bytes, 7 + 3 * AROUND_DATA_BYTES)
  })

  it('has as many bytes as it may, and is refused with one more', async () => {
    const all = bodies()
    const full = await reading(all, '1234567890')
    full.request.end()
    assert.equal(String(await full.body), '1234567890')
    const over = await reading(all, '12345678901')
    await assert.rejects(over.body, { code: 'MESH_LIMIT_SIZE' })
  })

  it('is refused when all together hold more than they may, until one of them ends', async () => {
    const all = bodies()
    const first = await reading(all, '1234567890')
    const fits = await reading(all, '12345')
    fits.request.end()
    assert.equal(String(await fits.body), '12345')
    const over = await reading(all, '123456')
    await assert.rejects(over.body, { code: 'MESH_LIMIT_CONCURRENCY' })
    // what was refused holds nothing any more
    const again = await reading(all, '12345')
    first.request.destroy(new Error('reset'))
    await assert.rejects(first.body, { code: 'MESH_CALL_CANCELED' })
    const next = await reading(all, '1234567890')
    for (const { request } of [again, next]) request.end()
    assert.deepEqual((await Promise.all([again.body, next.body])).map(String), [
      '12345',
      '1234567890',
    ])
  })

  it('is given up when it is cut short, or takes too long', async () => {
    const cut = await reading(bodies(), '123')
    cut.request.destroy()
    await assert.rejects(cut.body, { code: 'MESH_CALL_CANCELED' })
    const slow = await reading(bodies(1), '123')
    await assert.rejects(slow.body, { code: 'MESH_CALL_DEADLINE' })
  })

  it('is read to its end after a refusal, so that the answer arrives', async () => {
    const { request, body } = await reading(bodies(), '12345678901')
    await assert.rejects(body, { code: 'MESH_LIMIT_SIZE' })
    request.end('the rest')
    await new Promise((resolve) => request.once('close', resolve))
    assert.ok(request.readableEnded)
  })
})
