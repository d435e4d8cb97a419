/**
 * A path goes on byte for byte as the client sent it, unless a rule with paths has to judge it. Such a rule judges one form of the path
 * only, sends that form on, and never matches a path that servers may read in different ways.
 */
import assert from 'node:assert/strict'
import { rawClient, refusalOf } from './fixture.ts'
import { basic, setUp } from './setup.ts'

/** Of npm, GitLab, Google Cloud Storage, web archives and S3; then what no server means well. */
const AS_SENT = [
  '/plain',
  '/@scope%2fname',
  '/api/v4/projects/group%2Fproject',
  '/storage/v1/b/x/o/dir%2Ffile',
  '/web/2020/http://example.com/',
  '/bucket//key',
  '//bucket',
  '/50%25/x',
  '/%7euser/%c3%a9',
  '/a/./b/../c',
  '/a/%2e%2e/b',
  '/a/..;x/b',
  '/a%252e%252eb',
  '/a%2525b',
  '/a%5cb\\c',
  '/a%00b',
  '/a%0Ab%0D%7F%1b',
  '/a%',
  '/a%zz',
  '/caf\xc3\xa9/\xff\x85\xa0',
  '/"<>[]^`{|}',
]

/** What a rule with paths does not match, and what the refusal says of it. */
const AMBIGUOUS: readonly (readonly [path: string, why: RegExp])[] = [
  ['/files/a%2fb', /encoded slash/],
  ['/files/a%252fb', /encoded slash/],
  ['/files/a%2525b', /ambiguous/],
  ['/files//a', /ambiguous/],
  ['/files/../a', /ambiguous/],
  ['/files/%2e%2e/a', /ambiguous/],
  ['/files/..;x/a', /ambiguous/],
  ['/files/a\\b', /ambiguous/],
  ['/files/a%5cb', /ambiguous/],
  ['/files/a%00b', /ambiguous/],
  ['/files/a%', /two hexadecimal digits/],
  ['/files/a%0Ab', /control character/],
  ['/files/a%0Db', /control character/],
  ['/files/a%7Fb', /control character/],
  ['/files/a%1bb', /control character/],
  ['/files/a%c2%85b', /control character/],
  ['/files/caf\xe9', /above 0x7F/],
  ['/files/\x85', /above 0x7F/],
  ['/files/\xa0', /above 0x7F/],
  ['/files/\xff', /above 0x7F/],
  ['/files/a%c0%afb', /not UTF-8/],
]

describe('a path', () => {
  const setup = setUp()
  afterEach(setup.close)

  /** @param rules for the destination; HOST stands for its name and port */
  async function open(rules: readonly object[], agents: object = {}) {
    const lines: string[] = []
    const upstream = await setup.upstream((socket) =>
      socket.on('data', (data: Buffer) => {
        lines.push(data.toString('latin1').split('\r\n', 1)[0] ?? '')
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }),
    )
    const host = `api.test:${upstream.port}`
    const allow = rules.map((rule) => ({ host, scheme: 'http', ...rule }))
    const egress = await setup.egress(upstream.port, { egress: { allow, agents } })
    const auth = basic(await egress.token({ destinations: [host] }))
    const ask = async (path: string, { relay = false, method = 'GET' } = {}) => {
      const client = await rawClient(egress.number)
      client.send(
        `${method} ${relay ? '' : `http://${host}`}${path} HTTP/1.1\r\nHost: ${host}\r\n${auth}Connection: close\r\n\r\n`,
      )
      const answer = await client.rest()
      client.socket.destroy()
      return answer
    }
    return { egress, host, lines, ask }
  }

  for (const relay of [false, true])
    it(`goes on as it was sent where no rule has paths, in ${relay ? 'relay' : 'absolute'} form`, async () => {
      const { egress, lines, ask } = await open([{}])
      for (const [index, path] of AS_SENT.entries()) {
        assert.match(await ask(`${path}?q=%2F//`, { relay }), /^HTTP\/1\.1 200 /, path)
        assert.equal(lines[index], `GET ${path}?q=%2F// HTTP/1.1`)
        assert.equal((await egress.record(index)).path, path)
      }
    })

  it('goes on as it was sent where the rule that allows it has methods alone', async () => {
    const { lines, ask } = await open([
      { methods: ['POST'], paths: ['/files/**'] },
      { methods: ['GET'] },
    ])
    for (const path of AS_SENT) assert.match(await ask(path), /^HTTP\/1\.1 200 /, path)
    assert.deepEqual(
      lines,
      AS_SENT.map((path) => `GET ${path} HTTP/1.1`),
    )
  })

  for (const [path, why] of AMBIGUOUS)
    it(`${JSON.stringify(path)} is refused where a rule has paths, and the record says whose it was and where to`, async () => {
      const { egress, host, lines, ask } = await open([
        { paths: ['/files/**'] },
        { methods: ['POST'], paths: ['/**'] },
      ])
      const answer = await ask(path)
      assert.match(answer, /^HTTP\/1\.1 403 /)
      const refusal = refusalOf(answer)
      assert.deepEqual([refusal.code, refusal.gate], ['MESH_POLICY_NOT_ALLOWED', 'policy'])
      assert.match(refusal.hint, why)
      const record = await egress.record(0)
      assert.deepEqual(
        [record.tenant, record.agent_id, `${record.destination_host}:${record.destination_port}`],
        ['acme', 'bot-01', host],
      )
      assert.deepEqual([record.path, record.action_allowed], [path, false])
      assert.deepEqual([lines, egress.asked], [[], []])
    })

  it('goes on in the form that was judged where a rule with paths allows it', async () => {
    const { lines, ask } = await open([{ paths: ['/~user/**'] }])
    assert.match(await ask('/%7euser/a%2Db%c3%a9|'), /^HTTP\/1\.1 200 /)
    assert.deepEqual(lines, ['GET /~user/a-b%C3%A9%7C HTTP/1.1'])
  })

  it('goes on in the form that was judged where an actor of the chain has the rule with paths', async () => {
    const { egress, host, lines } = await open([], {
      'bot-01': { allow: [] },
    })
    egress.setPolicy(
      {
        agents: {
          'bot-01': { allow: [host] },
          planner: { allow: [{ host, paths: ['/~user/**'] }] },
        },
      },
      { ports: [Number(host.split(':')[1])] },
    )
    const planner = 'spiffe://mesh.internal/tenant/acme/agent/planner'
    const auth = basic(
      await egress.token({
        destinations: [host],
        chain: {
          act: { sub: planner },
          txn: '01890a5d-ac96-774b-bcce-b302099a8057',
          exp: Date.now() / 1000 + 600,
          allowedDestinations: null,
        },
      }),
    )
    const client = await rawClient(egress.number)
    const ask = (path: string) =>
      client.send(`GET http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\n${auth}\r\n`)
    ask('/%7euser/x')
    await client.until((text) => text.endsWith('ok'))
    ask('/%7euser/x%2fy')
    assert.match(await client.until((text) => text.includes('403')), /MESH_CHAIN_ACTOR_REFUSED/)
    client.socket.destroy()
    assert.deepEqual(lines, ['GET /~user/x HTTP/1.1'])
  })
})
