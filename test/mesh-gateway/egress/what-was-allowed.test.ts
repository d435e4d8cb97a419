/** `action_allowed` of a record means one thing: policy and every check of the gateway let the request through, whatever became of it then. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { silentLog } from '@clawmesh/agent-sdk'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { rawClient, sendRaw } from './fixture.ts'
import { basic, connectTo, get, setUp } from './setup.ts'

const CLOSE = 'Connection: close\r\n'

describe('the record of a request', () => {
  const setup = setUp()
  afterEach(setup.close)

  /** A port at which nothing listens. */
  async function deadPort(): Promise<number> {
    const server = createServer()
    const port = await listenOnFreePort(server)
    await closeServer(server)
    return port
  }

  async function ask(
    port: number,
    { names = {}, form = 'absolute', agents = {}, policy = {} } = {} as {
      names?: Record<string, string[]>
      form?: 'absolute' | 'connect'
      agents?: object
      policy?: object
    },
  ) {
    const egress = await setup.egress(port, {
      names: { 'api.test': ['127.0.0.1'], ...names },
      egress: { allow: [`api.test:${port}`, `gone.test:${port}`], agents, ...policy },
    })
    const auth = basic(
      await egress.token({ destinations: [`api.test:${port}`, `gone.test:${port}`] }),
    )
    const to = (host: string) =>
      form === 'connect'
        ? connectTo(port, auth, host)
        : get(port, auth + CLOSE).replaceAll('api.test', host)
    return { egress, auth, to: async (host: string) => sendRaw(egress.number, to(host)) }
  }

  for (const form of ['absolute', 'connect'] as const) {
    it(`says allowed of a name that does not exist, with the error, in ${form} form`, async () => {
      const { egress, to } = await ask(await deadPort(), { form })
      assert.match(await to('gone.test'), /^HTTP\/1\.1 502 /)
      const record = await egress.record(0)
      assert.deepEqual(
        [record.action_allowed, record.reason, record.rule, record.status],
        [true, 'MESH_EGRESS_UNRESOLVED', 'acme.json#/egress/allow/1', 502],
      )
      assert.match(
        await egress.metrics(),
        /decisions_total\{[^}]*action="allow"[^}]*reason="MESH_EGRESS_UNRESOLVED"[^}]*\} 1/,
      )
    })

    it(`says allowed of a connection that is refused, with its address and port, in ${form} form`, async () => {
      const port = await deadPort()
      const { egress, to } = await ask(port, { form })
      assert.match(await to('api.test'), /^HTTP\/1\.1 502 /)
      const record = await egress.record(0)
      assert.deepEqual(
        [record.action_allowed, record.reason, record.destination_ip, record.destination_port],
        [true, 'MESH_EGRESS_UNREACHABLE', '127.0.0.1', port],
      )
    })

    it(`says refused of a name that leads to an address that is not allowed, in ${form} form`, async () => {
      const { egress, to } = await ask(await deadPort(), {
        form,
        names: { 'api.test': ['10.0.0.1'] },
      })
      assert.match(await to('api.test'), /^HTTP\/1\.1 403 /)
      assert.equal((await egress.record(0)).action_allowed, false)
    })
  }

  it('says what audit mode would have refused beside what went wrong', async () => {
    const port = await deadPort()
    const { egress, to } = await ask(port, {
      agents: { 'bot-01': { mode: 'audit' } },
      policy: { allow: [] },
    })
    await to('gone.test')
    const record = await egress.record(0)
    assert.deepEqual([record.action_allowed, record.mode], [true, 'audit'])
  })

  it('is counted once with what policy said, and with the time that it took', async () => {
    const port = await deadPort()
    const { egress, to } = await ask(port, {
      agents: { 'bot-01': { mode: 'audit' } },
      policy: { allow: [`api.test:${port}`] },
    })
    for (const host of ['api.test', 'gone.test', 'gone.test']) await to(host)
    await sendRaw(egress.number, get(port, CLOSE))
    await egress.record(3)
    const metrics = await egress.metrics()
    const counted = [...metrics.matchAll(/^clawmesh_decisions_total\{([^}]*)\} ([1-9]\d*)$/gm)]
      .map(([, labels = '', count]) => `${/action="(\w+)"/.exec(labels)?.[1]} ${count}`)
      .toSorted()
    assert.deepEqual(counted, ['allow 1', 'audit 2', 'deny 1'])
    const [, times] =
      /clawmesh_request_duration_seconds_count\{[^}]*plane="egress"[^}]*\} (\d+)/.exec(metrics) ??
      []
    assert.equal(times, '4')
  })

  it('of a fault inside is told to the operator with its cause, and to the client without', async () => {
    const said: [object, string][] = []
    const cause = new Error('what only the operator may know')
    const egress = await setup.egress(9, {
      port: {
        log: { ...silentLog, error: (fields: object, text: string) => said.push([fields, text]) },
        verifyToken: () => Promise.reject(cause),
      },
    })
    const auth = basic(await egress.token({ destinations: ['api.test:9'] }))
    const answer = await sendRaw(egress.number, get(9, auth + CLOSE))
    assert.match(answer, /MESH_GATEWAY_INTERNAL/)
    assert.doesNotMatch(answer, /only the operator/)
    const { request_id, action_allowed, reason } = await egress.record(0)
    assert.deepEqual([action_allowed, reason], [false, 'MESH_GATEWAY_INTERNAL'])
    // a refusal for want of a token is none
    await sendRaw(egress.number, get(9, CLOSE))
    assert.equal((await egress.record(1)).reason, 'MESH_TOKEN_MISSING')
    assert.deepEqual(said, [[{ request_id, err: cause }, 'egress request failed inside']])
  })

  it('says allowed of a request that was sent on and cut before its answer, and refused of one that had not left', async () => {
    const upstream = await setup.upstream((socket) => socket.resume())
    const { egress, auth } = await ask(upstream.port)
    const client = await rawClient(egress.number)
    client.send(get(upstream.port, auth))
    while (upstream.connections[0] === undefined || upstream.connections[0].bytesRead === 0)
      await new Promise(setImmediate)
    egress.setPolicy({ allow: [] }, { ports: [upstream.port] })
    assert.match(await client.rest(), /^HTTP\/1\.1 403 [\s\S]*MESH_POLICY_NOT_ALLOWED/)
    client.socket.destroy()
    await sendRaw(egress.number, get(upstream.port, auth + CLOSE))
    assert.deepEqual(
      [await egress.record(0), await egress.record(1)].map((record) => [
        record.action_allowed,
        record.reason,
        record.destination_ip,
      ]),
      [
        [true, 'MESH_POLICY_NOT_ALLOWED', '127.0.0.1'],
        [false, 'MESH_POLICY_NOT_ALLOWED', null],
      ],
    )
  })

  for (const [what, rest, status, code] of [
    ['malformed', 'no size\r\n', 400, 'MESH_EGRESS_MALFORMED'],
    ['too large', '64\r\n', 413, 'MESH_LIMIT_SIZE'],
  ] as const)
    it(`says refused of a request whose body turns out to be ${what} after it was sent on`, async () => {
      const upstream = await setup.upstream((socket) => socket.resume())
      const policy = { limits: { maxBodyBytes: 10 } }
      const { egress, auth } = await ask(upstream.port, { policy })
      const client = await rawClient(egress.number)
      const chunked = `${auth}Transfer-Encoding: chunked\r\n`
      client.send(`${get(upstream.port, chunked, '/', 'POST')}1\r\na\r\n`)
      while (upstream.connections[0] === undefined || upstream.connections[0].bytesRead === 0)
        await new Promise(setImmediate)
      client.send(rest + 'x'.repeat(100))
      assert.match(await client.rest(), new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*${code}`))
      client.socket.destroy()
      const { action_allowed, reason } = await egress.record(0)
      assert.deepEqual([action_allowed, reason], [false, code])
    })

  it('has an id of the caller with a colon, the first good one of several, and microseconds', async () => {
    const { egress, auth } = await ask(await deadPort())
    const { port } = egress.port.address
    await sendRaw(
      Number(port),
      get(
        9,
        `${auth}${CLOSE}X-Request-Id: not good\r\nX-Request-Id: job:7\r\nX-Request-Id: job:8\r\n`,
      ),
    )
    const record = await egress.record(0)
    assert.equal(record.request_id, 'job:7')
    assert.equal(record.duration_ms, Math.round(record.duration_ms * 1000) / 1000)
  })
})
