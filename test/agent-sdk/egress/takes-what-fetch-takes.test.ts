import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { FetchInit, FetchInput } from '../../../agent-sdk/src/egress/fetch-options.ts'
import { type StandInEgress, startStandInEgress } from '../stand-in/egress-port.ts'

type Call = readonly [input: FetchInput, init?: FetchInit]

/** What arrived: what a destination could tell two clients by. */
interface Arrived {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

const WATCHED = ['content-type', 'content-length', 'transfer-encoding', 'x-mine', 'cache-control']

describe('agent.fetch takes what fetch takes', () => {
  let port: StandInEgress
  const arrived: Arrived[] = []
  let silent: ServerResponse | null = null
  before(async () => {
    port = await startStandInEgress(answer)
  })
  beforeEach(() => {
    arrived.length = 0
  })
  after(() => port.close())

  async function answer(request: IncomingMessage, response: ServerResponse) {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { method, url, headers } = request
    const boundary = /boundary=(.*)$/.exec(headers['content-type'] ?? '')?.[1] ?? 'none'
    const plain = (text: string) => text.replaceAll(boundary, 'BOUNDARY')
    // a boundary is as long as its author likes
    const watched = WATCHED.filter((name) => boundary === 'none' || name !== 'content-length')
    arrived.push({
      ...{ method, url },
      headers: Object.fromEntries(watched.map((name) => [name, plain(String(headers[name]))])),
      body: plain(Buffer.concat(chunks).toString('latin1')),
    })
    if (url === '/moved') response.writeHead(307, { location: '/here' }).end()
    else if (url === '/odd')
      response.writeHead(299, 'Höchst seltsam', { 'set-cookie': ['a=1', 'b=2'] }).end('x')
    else if (url === '/empty') response.writeHead(204).end()
    else if (url === '/silent') silent = response
    else response.end(`hello ${method}`)
  }

  const form = () => {
    const body = new FormData()
    body.append('purpose', 'batch')
    body.append('file', new File(['line\n'], 'ümlaut "q".jsonl', { type: 'application/jsonl' }))
    body.append('blob', new Blob(['raw']))
    return body
  }
  const streamOf = (...chunks: string[]) =>
    new ReadableStream<Uint8Array>({
      async pull(controller) {
        const next = chunks.shift()
        await new Promise(setImmediate)
        if (next === undefined) controller.close()
        else controller.enqueue(new TextEncoder().encode(next))
      },
    })
  const post = (body: NonNullable<FetchInit['body']>): FetchInit => ({ method: 'POST', body })
  const CALLS: Readonly<Record<string, (origin: string) => Call>> = {
    'a string': (origin) => [`${origin}/a?b=c`],
    'a URL': (origin) => [new URL('/a', origin)],
    text: (origin) => [origin, post('grüße')],
    bytes: (origin) => [origin, post(new Uint8Array([0, 255, 1]))],
    'part of a buffer': (origin) => [origin, post(new Uint16Array([1, 2, 3]).subarray(1))],
    'an ArrayBuffer': (origin) => [origin, post(new Uint8Array([1, 2]).buffer)],
    'a Blob': (origin) => [origin, post(new Blob(['blob'], { type: 'text/x-mine' }))],
    URLSearchParams: (origin) => [origin, post(new URLSearchParams({ a: 'ä b' }))],
    'FormData with files': (origin) => [origin, post(form())],
    'a stream': (origin) => [origin, { ...post(streamOf('a', 'b')), duplex: 'half' }],
    'headers in each form': (origin) => [origin, { headers: new Headers({ 'X-Mine': '1' }) }],
    'headers as pairs': (origin) => [
      origin,
      {
        headers: [
          ['x-mine', '1'],
          ['x-mine', '2'],
        ],
      },
    ],
    'cache: no-store': (origin) => [origin, { cache: 'no-store' }],
    'a Request': (origin) => [new Request(`${origin}/a`, { headers: { 'x-mine': '1' } })],
    'a Request with text': (origin) => [new Request(origin, post('body'))],
    'a Request with no bytes': (origin) => [new Request(origin, post(''))],
    'a Request with bytes': (origin) => [new Request(origin, post(new Uint8Array([7])))],
    'a Request with a stream': (origin) => [
      new Request(origin, { ...post(streamOf('a', 'b', 'c')), duplex: 'half' }),
    ],
    'a Request, and options that count before it': (origin) => [
      new Request(origin, { ...post('old'), headers: { 'x-mine': 'old' } }),
      { method: 'PUT', body: 'new', headers: { 'x-mine': 'new' } },
    ],
    'a Request in place of options': (origin) => [
      origin,
      new Request('http://elsewhere.test/', { ...post('kept'), headers: { 'x-mine': '2' } }),
    ],
    'options that libraries add': (origin) => [
      origin,
      Object.assign(post('x'), { retry: 1, timeout: 5, next: { revalidate: 1 }, params: {} }),
    ],
  }
  for (const [what, call] of Object.entries(CALLS))
    it(`what arrives is what fetch sends: ${what}`, async () => {
      const direct = await fetch(...call(port.origin))
      const through = await port.client.fetch(...call(port.origin))
      assert.equal(await through.text(), await direct.text())
      const [expected, got] = arrived
      // a length or chunks: undici's two versions frame a body in the same way
      assert.deepEqual(got, expected)
      assert.equal(arrived.length, 2)
    })

  it('a Request made of FormData goes in chunks, whole', async () => {
    await (await port.client.fetch(port.origin, post(form()))).text()
    await (await port.client.fetch(new Request(port.origin, post(form())))).text()
    assert.equal(arrived[1]?.body, arrived[0]?.body)
    assert.equal(arrived[1]?.headers['transfer-encoding'], 'chunked')
  })

  it('a body that can be sent again follows a redirect, that of a Request too', async () => {
    for (const call of [
      ['/moved', post('body')],
      ['/moved', post(form())],
    ] as const) {
      arrived.length = 0
      const input = new Request(`${port.origin}${call[0]}`, call[1])
      const response = await port.client.fetch(`${port.origin}${call[0]}`, call[1])
      assert.equal(response.url, `${port.origin}/here`)
      assert.equal(response.redirected, true)
      assert.equal(arrived[0]?.body, arrived[1]?.body)
      if (call[1].body === 'body')
        assert.equal((await port.client.fetch(input)).url, `${port.origin}/here`)
    }
    const manual = await port.client.fetch(`${port.origin}/moved`, { redirect: 'manual' })
    assert.equal(manual.status, 307)
    await assert.rejects(
      port.client.fetch(`${port.origin}/moved`, { redirect: 'error' }),
      TypeError,
    )
  })

  it('what comes back is a Response, as fetch makes it', async () => {
    const response = await port.client.fetch(`${port.origin}/odd`)
    const direct = await fetch(`${port.origin}/odd`)
    assert.ok(response instanceof Response)
    for (const name of ['status', 'statusText', 'ok', 'url', 'redirected', 'type'] as const)
      assert.equal(response[name], direct[name], name)
    assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2'])
    const copy = response.clone()
    assert.equal(copy.url, response.url)
    assert.deepEqual([await copy.text(), await response.text()], ['x', 'x'])
    assert.throws(() => response.clone(), TypeError)
    const empty = await port.client.fetch(`${port.origin}/empty`)
    assert.equal(empty.status, 204)
    assert.equal(empty.body, null)
  })

  it('a Request that was read already, or was aborted, is refused', async () => {
    const read = new Request(port.origin, post('x'))
    await read.text()
    await assert.rejects(port.client.fetch(read), TypeError)
    const aborted = new Request(port.origin, { signal: AbortSignal.abort(new Error('enough')) })
    await assert.rejects(port.client.fetch(aborted), /enough/)
    const sent = new Request(port.origin, post('x'))
    await port.client.fetch(sent)
    assert.equal(sent.bodyUsed, true)
    assert.equal(arrived.length, 1)
  })

  it('the signal of a Request ends it on its way, and so does that of the task', async () => {
    for (const whose of ['the Request', 'the options', 'the task']) {
      const stop = new AbortController()
      const signal = stop.signal
      const input = `${port.origin}/silent`
      const running = port.client.fetch(
        whose === 'the Request' ? new Request(input, { signal }) : input,
        whose === 'the options' ? { signal } : {},
        whose === 'the task' ? { signal } : {},
      )
      const { length } = arrived
      while (arrived.length === length) await new Promise(setImmediate)
      stop.abort(new Error(whose))
      await assert.rejects(running, (error: Error) => error.message === whose)
    }
  })

  it('options that lead past the gateway, and misspelt ones, are a TypeError that names them', async () => {
    const refused = (init: object, words: RegExp) =>
      assert.rejects(port.client.fetch(port.origin, init), (error: Error) => {
        assert.ok(error instanceof TypeError)
        assert.match(error.message, words)
        return true
      })
    await refused({ dispatcher: {} }, /^dispatcher: agent\.fetch goes through the gateway only$/)
    await refused({ agent: {} }, /^agent: /)
    await refused({ proxy: 'http://other.test' }, /^proxy: /)
    await refused({ singal: AbortSignal.abort() }, /^singal: .*did you mean signal$/)
    await refused({ header: {} }, /^header: .*did you mean headers$/)
    await refused({ redirects: 'error' }, /^redirects: .*did you mean redirect$/)
    await refused({ signal: {} }, /^signal: /)
    await refused({ method: 'POST', body: streamOf('a') }, /duplex/)
    await refused({ method: 'POST', body: streamOf('a'), duplex: 'full' }, /duplex/)
    await refused({ method: 'GET', body: 'x' }, /body/i)
    await assert.rejects(port.client.fetch('/relative'), TypeError)
    await assert.rejects(port.client.fetch('ftp://example.test/'), TypeError)
    assert.deepEqual(arrived, [])
  })

  it('a global fetch that was replaced is not asked', async () => {
    const own = globalThis.fetch
    globalThis.fetch = () => assert.fail('went direct')
    try {
      assert.equal(await (await port.client.fetch(port.origin)).text(), 'hello GET')
    } finally {
      globalThis.fetch = own
    }
  })

  it('an answer that takes longer than five minutes is waited for, over http and in a tunnel', async () => {
    // undici's clock can be moved on by hand
    const { tick }: { tick(ms: number): void } = createRequire(import.meta.url)(
      '../../../node_modules/undici/lib/util/timers.js',
    )
    for (const origin of [port.origin, `https://${port.secure}`]) {
      silent = null
      const running = port.client.fetch(`${origin}/silent`)
      while (silent === null) await new Promise(setImmediate)
      tick(400_000)
      tick(400_000)
      const response: ServerResponse = silent
      response.write('first ')
      const answered = await running
      tick(400_000)
      tick(400_000)
      response.end('last')
      assert.equal(await answered.text(), 'first last')
    }
  })

  it('asks the kernel to notice when the other side of a silent tunnel is gone', async function () {
    if (process.platform !== 'linux') return this.skip()
    await (await port.client.fetch(`https://${port.secure}/`)).text()
    const ports = [...port.tunnels].map(({ remotePort }) => remotePort)
    const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n')
    const kept = lines.filter((line) => {
      const [, local = '', , , , timer = ''] = line.trim().split(/\s+/)
      return (
        ports.includes(Number.parseInt(local.split(':')[1] ?? '', 16)) && timer.startsWith('02:')
      )
    })
    assert.equal(kept.length, port.tunnels.size, 'each has its keep-alive timer')
  })
})
