/**
 * `GET https://host/` at the port, as axios 1.7.9 to 1.13.2 and needle send it to a proxy: the gateway makes the TLS connection. Relay
 * form, where the rule says which scheme is spoken, goes to the port of that scheme.
 */
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import axios from 'axios'
import needle from 'needle'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { refusalOf, sendRaw } from './fixture.ts'
import { basic, setUp } from './setup.ts'

const HOST = 'planner.acme.mesh.internal'

describe('a request for https:// in absolute form', () => {
  const setup = setUp()
  let ca: TestCa
  let other: TestCa
  before(async () => {
    ca = await makeTestCa()
    other = await makeTestCa()
  })
  after(async () => {
    await ca.close()
    await other.close()
  })
  afterEach(setup.close)

  const secure = (serve: RequestListener, by = ca) => setup.https(serve, by)

  async function open(port: number, allow: readonly (string | object)[] = [`${HOST}:${port}`]) {
    const egress = await setup.egress(port, {
      names: { [HOST]: ['127.0.0.1'] },
      ca: ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' }).roots,
      egress: { allow },
    })
    const auth = basic(await egress.token({ destinations: [HOST, `${HOST}:${port}`] }))
    const ask = (line: string, host = `${HOST}:${port}`, body = '') =>
      sendRaw(
        egress.number,
        `${line} HTTP/1.1\r\nHost: ${host}\r\n${auth}Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      )
    return { egress, ask }
  }

  it('is served over verified TLS, with path, query and body as they were', async () => {
    const seen: object[] = []
    const { port } = await secure((request, response) => {
      seen.push([request.method, request.url, request.headers.host])
      request.pipe(response.writeHead(201))
    })
    const { egress, ask } = await open(port)
    const answer = await ask(`POST https://${HOST}:${port}/v1/x?y=%2F`, undefined, 'hello')
    assert.match(answer, /^HTTP\/1\.1 201 [\s\S]*hello/)
    assert.deepEqual(seen, [['POST', '/v1/x?y=%2F', `${HOST}:${port}`]])
    const record = await egress.record(0)
    assert.deepEqual(
      [record.method, record.path, record.destination_host, record.destination_port, record.status],
      ['POST', '/v1/x', HOST, port, 201],
    )
  })

  it('meets rules with methods and paths, which a tunnel cannot', async () => {
    const { port } = await secure((_, response) => response.end('ok'))
    const rule = { host: `${HOST}:${port}`, methods: ['GET'], paths: ['/repos/**'] }
    const { ask } = await open(port, [rule])
    assert.match(await ask(`GET https://${HOST}:${port}/repos/x`), /^HTTP\/1\.1 200 /)
    assert.match(await ask(`GET https://${HOST}:${port}/gists/x`), /^HTTP\/1\.1 403 /)
  })

  for (const [client, get] of [
    [
      'axios 1.13.2',
      async (url: string, number: number, token: string) => {
        const auth = { username: 'bot-01', password: token }
        const proxy = { protocol: 'http', host: '127.0.0.1', port: number, auth }
        const { status, data } = await axios.get(url, { proxy })
        return [status, data]
      },
    ],
    [
      'needle',
      async (url: string, number: number, token: string) => {
        const proxy = `http://bot-01:${token}@127.0.0.1:${number}`
        const { statusCode, body } = await needle('get', url, null, { proxy })
        return [statusCode, String(body)]
      },
    ],
  ] as const)
    it(`serves ${client}, which sends it to every proxy`, async () => {
      const { port } = await secure((request, response) => {
        response.writeHead(200, { 'content-type': 'text/plain' }).end(`got ${request.url}`)
      })
      const { egress } = await open(port)
      const token = await egress.token({ destinations: [`${HOST}:${port}`] })
      const answer = await get(`https://${HOST}:${port}/a?b=1`, egress.number, token)
      assert.deepEqual(answer, [200, 'got /a?b=1'])
      const { method, status } = await egress.record(0)
      assert.deepEqual([method, status], ['GET', 200])
    })

  it('goes to 443 where no port is named', async () => {
    const { egress, ask } = await open(9, [`${HOST}:9`])
    assert.match(await ask(`GET https://${HOST}/`, HOST), /^HTTP\/1\.1 403 /)
    assert.equal((await egress.record(0)).destination_port, 443)
  })

  it('is never spoken in the clear, whatever scheme the rule has', async () => {
    let heard = ''
    const { port } = await setup.upstream((socket) =>
      socket.on('data', (data: Buffer) => {
        heard += data.toString('latin1')
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      }),
    )
    const { ask } = await open(port, [{ host: `${HOST}:${port}`, scheme: 'http' }])
    const answer = await ask(`GET https://${HOST}:${port}/secret`)
    assert.equal(refusalOf(answer).code, 'MESH_EGRESS_UPSTREAM_TLS')
    assert.doesNotMatch(heard, /secret/)
  })

  it('says nothing to a destination whose certificate is of another CA', async () => {
    let heard = 0
    const { port } = await secure(() => {
      heard += 1
    }, other)
    const { ask } = await open(port)
    const answer = await ask(`GET https://${HOST}:${port}/`)
    assert.equal(refusalOf(answer).code, 'MESH_EGRESS_UPSTREAM_TLS')
    assert.equal(heard, 0)
  })
})

describe('a request in relay form whose Host has no port', () => {
  const setup = setUp()
  afterEach(setup.close)

  async function ask(egress: object, host = 'api.test') {
    const port = await setup.egress(80, { names: { 'api.test': [] }, egress })
    const auth = basic(await port.token({ destinations: ['api.test'] }))
    await sendRaw(
      port.number,
      `GET / HTTP/1.1\r\nHost: ${host}\r\n${auth}Connection: close\r\n\r\n`,
    )
    const record = await port.record(0)
    return [record.destination_port, record.reason]
  }
  // that nothing is at the name shows that it was let through
  const through = 'MESH_EGRESS_ADDRESS_REFUSED'

  for (const [what, egress, port, reason] of [
    ['the rule says https', { allow: ['api.test'] }, 443, through],
    ['the rule says http', { allow: [{ host: 'api.test', scheme: 'http' }] }, 80, through],
    [
      'the rule says http and names port 80',
      { allow: [{ host: 'api.test:80', scheme: 'http' }] },
      80,
      through,
    ],
    [
      'the rule says http and names port 443',
      { allow: [{ host: 'api.test:443', scheme: 'http' }] },
      443,
      through,
    ],
    [
      'the rule says http and port 80 is denied',
      { allow: [{ host: 'api.test', scheme: 'http' }], deny: ['api.test:80'] },
      80,
      'MESH_POLICY_DENIED',
    ],
    [
      'the rule says http and port 443 is denied',
      { allow: [{ host: 'api.test', scheme: 'http' }], deny: ['api.test:443'] },
      80,
      through,
    ],
    ['no rule allows the host', { allow: [] }, 443, 'MESH_POLICY_NOT_ALLOWED'],
    [
      'audit mode lets it through',
      { allow: [], agents: { 'bot-01': { mode: 'audit' } } },
      443,
      through,
    ],
  ] as const)
    it(`goes to port ${port} where ${what}`, async () => {
      assert.deepEqual(await ask(egress), [port, reason])
    })

  it('goes to the port that Host names, whatever the rule says', async () => {
    const egress = { allow: [{ host: 'api.test', scheme: 'http' }] }
    assert.deepEqual(await ask(egress, 'api.test:443'), [443, through])
  })
})
