import assert from 'node:assert/strict'
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import http2 from 'node:http2'
import { leanAsyncResource } from '../../../../mesh-gateway/src/process/node-internals/lean-async-resource.ts'
import { needNodePatches } from '../need-node-patches.ts'

const PLAIN = new URL('../../../../bench/variants/plain-async-resource.ts', import.meta.url).href
const LEAN = new URL(
  '../../../../mesh-gateway/src/process/node-internals/lean-async-resource.ts',
  import.meta.url,
).href

describe('lean AsyncResource.bind', () => {
  const own = Object.getOwnPropertyDescriptor(AsyncResource.prototype, 'bind')

  before(function () {
    needNodePatches(this)
  })
  beforeEach(() => {
    assert.equal(leanAsyncResource(), true)
  })
  afterEach(() => {
    if (own !== undefined) Object.defineProperty(AsyncResource.prototype, 'bind', own)
  })

  it('runs what was bound where it was bound, with its arguments and its result', () => {
    const storage = new AsyncLocalStorage<string>()
    const resource = storage.run('inside', () => new AsyncResource('TEST'))
    const bound = resource.bind((a: number, b: number) => [storage.getStore(), a + b])
    assert.deepEqual(storage.run('outside', bound, 1, 2), ['inside', 3])
  })

  it('keeps `this`: given with bind, or of the call', () => {
    const resource = new AsyncResource('TEST')
    function whoAmI(this: unknown) {
      return this
    }
    const me = {}
    // the second argument is Node's, and not in its types
    const bound: unknown = Reflect.apply(resource.bind, resource, [whoAmI, me])
    assert.ok(typeof bound === 'function')
    assert.equal(bound(), me)
    assert.equal(resource.bind(whoAmI).call(me), me)
  })

  it('refuses what is no function, as Node does', () => {
    const resource = new AsyncResource('TEST')
    assert.throws(() => Reflect.apply(resource.bind, resource, ['no function']), TypeError)
  })

  it('leaves bind alone when it has been made read-only, as the bench does to measure without', () => {
    const script = `import { leanAsyncResource } from ${JSON.stringify(LEAN)}
      process.stdout.write(String(leanAsyncResource()))`
    const args = ['--import', PLAIN, '--input-type=module', '--eval', script]
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    assert.equal(stdout, 'false', stderr)
  })

  it('leaves bind alone that does not bind as in Node 24', () => {
    assert.equal(leanAsyncResource(), true, 'it is in place already')
    const others: ((this: AsyncResource, fn: () => void, thisArg?: unknown) => unknown)[] = [
      // without the property that costs so much: there is nothing to gain
      function (fn, _thisArg) {
        return () => this.runInAsyncScope(fn)
      },
      function (fn, ..._more: unknown[]) {
        return Object.defineProperty(() => this.runInAsyncScope(fn), 'asyncResource', {
          get: () => this,
        })
      },
    ]
    for (const other of others) {
      Object.defineProperty(AsyncResource.prototype, 'bind', {
        configurable: true,
        writable: true,
        value: other,
      })
      assert.equal(leanAsyncResource(), false)
      assert.equal(AsyncResource.prototype.bind, other)
    }
  })

  it('keeps the asynchronous context of every request over http2, also of those made before the connection stands', async () => {
    const server = http2.createServer()
    server.on('stream', (stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ done: 'yes' }))
      stream.end('body')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(address !== null && typeof address === 'object')
    const client = http2.connect(`http://127.0.0.1:${address.port}`)
    try {
      const storage = new AsyncLocalStorage<number>()
      const seen = (id: number) =>
        storage.run(id, async () => {
          const stream = client.request({ ':path': `/${id}` })
          const events: (number | undefined)[] = []
          for (const event of ['response', 'trailers'])
            stream.on(event, () => events.push(storage.getStore()))
          stream.resume()
          await once(stream, 'close')
          return events
        })
      const early = await Promise.all([seen(1), seen(2), seen(3)])
      assert.deepEqual(early, [
        [1, 1],
        [2, 2],
        [3, 3],
      ])
      assert.deepEqual(await Promise.all([seen(4), seen(5)]), [
        [4, 4],
        [5, 5],
      ])
    } finally {
      client.close()
      server.close()
      await once(server, 'close')
    }
  })
})
