import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { createLinks } from '../../../../mesh-gateway/src/delegation/reflection/links.ts'
import { waitFor } from '../../../support/wait-for.ts'

describe('the connections through which reflection passes', () => {
  const closing: (() => void)[] = []
  afterEach(() => {
    for (const close of closing.splice(0)) close()
  })
  function open() {
    const got: { stream: ServerHttp2Stream; headers: IncomingHttpHeaders }[] = []
    const links = createLinks((stream, headers) => {
      stream.on('error', () => {})
      got.push({ stream, headers })
    })
    closing.push(() => links.close())
    const call = (tenant: string, mark: string) => {
      const link = links.acquire(tenant)
      const stream = link.open([
        ...[
          ':method',
          'POST',
          ':scheme',
          'http',
          ':authority',
          'a',
          ':path',
          '/a.B/C',
          'mark',
          mark,
        ],
      ])
      stream.on('error', () => {})
      return { link, stream }
    }
    const arrived = (mark: string) =>
      waitFor(`the stream ${mark}`, () => got.find(({ headers }) => headers.mark === mark))
    return { links, call, arrived }
  }

  it('are one for each tenant, and show the far side each stream with its headers', async () => {
    const { call, arrived } = open()
    const [one, two, other] = [call('acme', '1'), call('acme', '2'), call('globex', '3')]
    assert.equal(one.link, two.link)
    assert.notEqual(one.link, other.link)
    assert.equal(one.link.active, 2)
    for (const mark of ['1', '2', '3']) await arrived(mark)
    const { stream } = await arrived('2')
    const answered = once(two.stream, 'response')
    stream.respond({ ':status': 204 }, { endStream: true })
    const [head] = await answered
    assert.equal(head[':status'], 204)
  })

  it('are made anew for a tenant whose connection takes no more, and the one of before lets its calls end', async () => {
    const { call, arrived } = open()
    const one = call('acme', '1')
    await arrived('1')
    one.link.retire()
    const two = call('acme', '2')
    assert.notEqual(one.link, two.link)
    const { stream } = await arrived('1')
    const answered = once(one.stream, 'response')
    stream.respond({ ':status': 204 }, { endStream: true })
    await answered
    one.stream.resume().end()
    await waitFor('the end of the first', () => one.link.gone)
    // the end of an earlier one does not take away the later
    assert.equal(call('acme', '3').link, two.link)
  })

  it('all close at the end, those that were retired too', async () => {
    const { links, call, arrived } = open()
    const one = call('acme', '1')
    await arrived('1')
    one.link.retire()
    const two = call('acme', '2')
    await arrived('2')
    links.close()
    await waitFor('the end of both', () => one.link.gone && two.link.gone)
    for (const mark of ['1', '2']) {
      const { stream } = await arrived(mark)
      await waitFor('the far side too', () => stream.destroyed)
    }
  })
})
