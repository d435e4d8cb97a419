/** Whether a TLS client may name no server is said for one host of one tenant, and by policy as a whole for all or for none. */
import assert from 'node:assert/strict'
import { captureHello } from '../capture-hello.ts'
import { rawClient } from '../fixture.ts'
import { basic, connectTo, setUp } from '../setup.ts'

const PLANNER = 'spiffe://mesh.internal/tenant/acme/agent/planner'

describe('a tunnel whose ClientHello names no server', () => {
  const setup = setUp()
  let nameless: Buffer
  before(async () => {
    nameless = await captureHello({ servername: '' })
  })
  afterEach(setup.close)

  /** What becomes of a tunnel to each of two hosts at one port. */
  async function ask(
    allow: (port: number) => readonly (string | object)[],
    {
      tls = {},
      planner,
    }: { tls?: object; planner?: (port: number) => readonly (string | object)[] } = {},
  ) {
    const upstream = await setup.upstream((socket) => {
      socket.once('data', () => socket.end('reached'))
    })
    const { port } = upstream
    const hosts = ['old.test', 'api.test']
    const egress = await setup.egress(port, {
      names: { 'old.test': ['127.0.0.1'], 'api.test': ['127.0.0.1'] },
      egress: {
        agents: {
          'bot-01': { allow: allow(port) },
          ...(planner === undefined ? {} : { planner: { allow: planner(port) } }),
        },
      },
      global: { ports: [port], tls: { ports: [port], ...tls } },
    })
    const chain = {
      act: { sub: PLANNER },
      txn: '01890a5d-ac96-774b-bcce-b302099a8057',
      exp: Date.now() / 1000 + 600,
      allowedDestinations: null,
    }
    const token = await egress.token({
      destinations: hosts.map((host) => `${host}:${port}`),
      ...(planner === undefined ? {} : { chain }),
    })
    const reasons: (string | null)[] = []
    for (const host of hosts) {
      const client = await rawClient(egress.number)
      client.send(connectTo(port, basic(token), host))
      await client.until((text) => text.includes('\r\n\r\n'))
      client.send(nameless)
      const text = await client.rest()
      client.socket.destroy()
      const { reason } = await egress.record(reasons.length)
      assert.equal(text.endsWith('reached'), reason === null)
      reasons.push(reason)
    }
    return reasons
  }
  const refused = 'MESH_EGRESS_SNI_MISMATCH'
  const oneHost = (port: number) => [
    { host: `old.test:${port}`, noServerName: 'allow' },
    `api.test:${port}`,
  ]

  it('passes for the host whose rule allows it, and for no other', async () => {
    assert.deepEqual(await ask(oneHost), [null, refused])
  })

  it('is refused where no rule speaks of it', async () => {
    assert.deepEqual(await ask((port) => [`old.test:${port}`, `api.test:${port}`]), [
      refused,
      refused,
    ])
  })

  it('is refused whatever rules say where _global.json refuses it', async () => {
    assert.deepEqual(await ask(oneHost, { tls: { noServerName: 'refuse' } }), [refused, refused])
  })

  it('passes whatever rules say where _global.json allows it', async () => {
    assert.deepEqual(await ask(oneHost, { tls: { noServerName: 'allow' } }), [null, null])
  })

  it('passes within a chain only where the rules of everybody in it allow it', async () => {
    const both = (port: number) => [
      { host: `old.test:${port}`, noServerName: 'allow' },
      { host: `api.test:${port}`, noServerName: 'allow' },
    ]
    assert.deepEqual(await ask(both, { planner: oneHost }), [null, refused])
    assert.deepEqual(await ask(oneHost, { planner: both }), [null, refused])
  })
})
