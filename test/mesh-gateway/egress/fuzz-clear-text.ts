/** Random bytes in a tunnel without TLS: what goes on shows no server another host, however lenient its parser is. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import fc from 'fast-check'
import { ClearText } from '../../../mesh-gateway/src/egress/carry/clear-text.ts'
import { parseConnectTarget } from '../../../mesh-gateway/src/egress/request.ts'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import type { FuzzTarget } from './fuzz-target.ts'

const PIECES = [
  'GET / HTTP/1.1\r\nHost: api.test\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: api.test\r\n',
  'get http://evil.test/ HTTP/1.0\r\n',
  ...['Host: api.test\r\n', 'Host: evil.test\r\n', 'Host:evil.test\n', ' evil.test\r\n'],
  ...['Content-Length: 4\r\n', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n'],
  ...['Transfer-Encoding: identity\r\n', 'Connection: Upgrade\r\n', 'Upgrade: websocket\r\n'],
  ...[
    '\r\n',
    '\n',
    '\r',
    ' ',
    '\t',
    '\v',
    '\0',
    '4\r\nbody\r\n',
    '0\r\n\r\n',
    'PRI * HTTP/2.0\r\n',
  ],
  ...['\x81\x80', '\x01\x85\0\0\0\0', 'x', 'GET ', ' HTTP/1.1'],
]

export const clearText: FuzzTarget = {
  name: 'whatever a client sends in a tunnel without TLS, a lenient server sees no other host',
  runs: 400,
  async run(parameters) {
    const target = parseConnectTarget('api.test:80')
    assert.ok(typeof target !== 'string')
    let hosts: unknown[] = []
    const server = createServer({ insecureHTTPParser: true }, (request, response) => {
      hosts.push(request.headers.host, /^https?:..([^/]*)/i.exec(request.url ?? '')?.[1])
      response.end()
    })
    const port = await listenOnFreePort(server)
    let seen = 0
    const checked = fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 10 }),
        fc.integer({ min: 1, max: 40 }),
        async (pieces, size) => {
          hosts = []
          const sent = Buffer.from(pieces.join(''), 'latin1')
          const judge = new ClearText(target, true)
          const client = connect({ host: '127.0.0.1', port })
          client.resume().on('error', () => {})
          const closed = once(client, 'close')
          for (let at = 0, ended = false; at < sent.length && !ended; at += size)
            ended =
              judge.push(sent.subarray(at, at + size), (bytes) => {
                client.write(bytes)
              }) !== null
          client.end()
          await closed
          seen += hosts.length
          for (const host of hosts)
            assert.ok(host === undefined || host === 'api.test', String(host))
        },
      ),
      parameters,
    )
    await checked.finally(() => closeServer(server))
    assert.ok(seen > 0, 'no request was seen at all')
  },
}
