/**
 * Some servers take the method or the path of a request from a header: Google APIs, OData, Rails, IIS, Symfony. A rule with methods or
 * paths would then judge another request than the server serves, so it matches no request with such a header.
 */
import assert from 'node:assert/strict'
import { rawClient, refusalOf } from './fixture.ts'
import { basic, setUp } from './setup.ts'

const REPLACING = [
  'X-HTTP-Method-Override: DELETE',
  'X-HTTP-Method: DELETE',
  'X-Method-Override: delete',
  'x_http_method_override: DELETE',
  'X-HTTP-Method-Override: POST\r\nX-HTTP-Method-Override: DELETE',
  'X-Original-URL: /admin',
  'X-Rewrite-URL: /admin',
]

describe('a header that replaces the method or the path', () => {
  const setup = setUp()
  afterEach(setup.close)

  /** @param rules for the destination */
  async function open(rules: readonly object[], tenant: object = {}) {
    const heads: string[] = []
    const upstream = await setup.upstream((socket) =>
      socket.on('data', (data: Buffer) => {
        heads.push(data.toString('latin1'))
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }),
    )
    const host = `api.test:${upstream.port}`
    const allow = rules.map((rule) => ({ host, scheme: 'http', ...rule }))
    const egress = await setup.egress(upstream.port, { egress: { allow }, ...tenant })
    const auth = basic(await egress.token({ destinations: [host] }))
    const ask = async (field: string, { relay = false } = {}) => {
      const client = await rawClient(egress.number)
      client.send(
        `POST ${relay ? '' : `http://${host}`}/things HTTP/1.1\r\nHost: ${host}\r\n${field}\r\n${auth}Content-Length: 0\r\nConnection: close\r\n\r\n`,
      )
      const answer = await client.rest()
      client.socket.destroy()
      return answer
    }
    return { egress, heads, ask }
  }

  for (const relay of [false, true])
    for (const rule of [{ methods: ['POST'] }, { paths: ['/things'] }])
      it(`matches no rule with ${Object.keys(rule)}, in ${relay ? 'relay' : 'absolute'} form`, async () => {
        const { egress, heads, ask } = await open([rule])
        for (const [index, field] of REPLACING.entries()) {
          const answer = await ask(field, { relay })
          assert.match(answer, /^HTTP\/1\.1 403 /, field)
          const { code, hint } = refusalOf(answer)
          assert.equal(code, 'MESH_POLICY_NOT_ALLOWED')
          assert.match(hint, /the header x-[a-z-]+ lets servers read another method or path/)
          const record = await egress.record(index)
          assert.equal(record.override, /x-[a-z-]+/.exec(hint)?.[0])
          assert.deepEqual([record.method, record.path], ['POST', '/things'])
        }
        assert.deepEqual(heads, [])
      })

  it('goes on where a rule allows the host with any method and path', async () => {
    const { egress, heads, ask } = await open([{ methods: ['POST'] }, {}])
    for (const [index, field] of REPLACING.entries()) {
      assert.match(await ask(field), /^HTTP\/1\.1 200 /, field)
      assert.ok(heads[index]?.includes(field), field)
      assert.notEqual((await egress.record(index)).override, null)
    }
  })

  it('is none when it names the method that the request has', async () => {
    const { egress, ask } = await open([{ methods: ['POST'] }])
    assert.match(await ask('X-HTTP-Method-Override: post'), /^HTTP\/1\.1 200 /)
    assert.equal((await egress.record(0)).override, null)
  })
})
