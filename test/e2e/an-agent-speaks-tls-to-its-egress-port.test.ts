/** An agent that is not beside its gateway: TLS to the egress port, tokens that are good with its certificate alone, and renewals. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect, createServer as createTlsServer } from 'node:tls'
import { type AgentOptions, createAgent } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { mint } from '../agent-sdk/tls/mint.ts'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const RENEWALS = 4

describe('an agent whose egress port speaks TLS', function () {
  this.timeout(120_000)
  let mesh: Mesh
  let origin: Server
  let secure: SecureServer
  let plain = ''
  let tunnelled = ''
  let egressCa = ''
  let egress = ''
  const closing: (() => unknown)[] = []

  before(async () => {
    const world = mint({ dnsNames: ['open.example'] })
    egressCa = world.pem
    origin = createServer((_, response) => response.end('plain'))
    secure = createSecureServer({ cert: world.pem, key: world.keyPem }, (_, response) =>
      response.end('secure'),
    )
    const ports = [await listenOnFreePort(origin), await listenOnFreePort(secure)]
    mesh = await startMesh({
      policy: {
        _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports } },
        acme: {
          egress: { allow: ports.map((port) => `open.example:${port}`) },
          delegation: { allow: [{ from: '*', to: '*' }] },
        },
      },
      // the gateway's own certificate serves the egress port as well
      config: { egress: { tls: { dir: 'gateway' } } },
    })
    mesh.addHost('open.example', ['127.0.0.1'])
    plain = `http://open.example:${ports[0]}/`
    tunnelled = `https://open.example:${ports[1]}/`
    egress = `https://${mesh.gateway.egress}`
  })
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })
  after(async () => {
    await mesh.close()
    await closeServer(origin)
    await closeServer(secure)
  })

  const agent = (name: string, more: Partial<AgentOptions> = {}) =>
    mesh.agent('acme', name, { egress, egressCa, ...more })

  /** A TLS server in the place of the port, which keeps what it saw and answers nothing. */
  async function between(cert: string, key: string) {
    const seen: { token: string; thumbprint: string | undefined }[] = []
    const ca = await readFile(join(mesh.dir, 'gateway', 'ca.crt'))
    const server = createTlsServer(
      { cert, key, ca, requestCert: true, ALPNProtocols: ['http/1.1'] },
      (socket) => {
        socket.on('error', () => {})
        socket.once('data', (data: Buffer) => {
          const token = /proxy-authorization: Bearer (\S+)/i.exec(data.toString('latin1'))?.[1]
          seen.push({
            token: token ?? '',
            thumbprint: socket.getPeerX509Certificate()?.fingerprint256,
          })
          socket.destroy()
        })
      },
    )
    const port = await listenOnFreePort(server)
    closing.push(() => new Promise((resolve) => server.close(resolve)))
    return { port, seen }
  }

  /** What the port answers to a token that is shown with the certificate in a directory, or with none. */
  async function replay(token: string, dir: string | null): Promise<string> {
    const [host = '', port] = mesh.gateway.egress.split(':')
    const read = async (name: string) =>
      dir === null ? undefined : await readFile(join(dir, name))
    const socket = connect({
      ...{ host, port: Number(port), servername: 'gateway.mesh.internal' },
      ca: await readFile(join(mesh.dir, 'gateway', 'ca.crt')),
      cert: await read('tls.crt'),
      key: await read('tls.key'),
    })
    await once(socket, 'secureConnect')
    socket.end(
      `GET ${plain} HTTP/1.1\r\nHost: ${new URL(plain).host}\r\nProxy-Authorization: Bearer ${token}\r\nConnection: close\r\n\r\n`,
    )
    return await text(socket)
  }

  it('fetches in both forms, for itself and within a skill', async () => {
    const planner = await agent('planner')
    assert.equal(await (await planner.fetch(plain)).text(), 'plain')
    assert.equal(await (await planner.fetch(tunnelled)).text(), 'secure')
    for (const url of [plain, tunnelled])
      await assert.rejects(planner.fetch(url.replace('open', 'other')), {
        code: 'MESH_POLICY_NOT_ALLOWED',
      })
    const skilled = await agent('skilled')
    const serving = await skilled.serve({
      listen: '127.0.0.1:0',
      skills: {
        read: async (_task, ctx) =>
          `${await (await ctx.fetch(plain)).text()} ${await (await ctx.fetch(tunnelled)).text()}`,
      },
    })
    mesh.announce('acme', 'skilled', serving.address.port)
    const result = await planner.delegate('skilled', { skill: 'read' }).result()
    assert.equal(result.text(), 'plain secure')
  })

  it('has tokens that nobody else can use, with any certificate or without one', async () => {
    const gatewayDir = join(mesh.dir, 'gateway')
    const [cert, key] = await Promise.all(
      ['tls.crt', 'tls.key'].map((name) => readFile(join(gatewayDir, name), 'utf8')),
    )
    const thief = await between(cert ?? '', key ?? '')
    const victim = await agent('victim', { egress: `https://127.0.0.1:${thief.port}` })
    for (const url of [plain, tunnelled]) await assert.rejects(victim.fetch(url))
    const own = await mesh.identity('acme', 'victim')
    for (const { token, thumbprint } of thief.seen) {
      const { cnf } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
      const bound = Buffer.from(cnf['x5t#S256'], 'base64url').toString('hex')
      assert.equal(bound, thumbprint?.replaceAll(':', '').toLowerCase())
      assert.match(await replay(token, own), /^HTTP\/1\.1 200 /)
      for (const dir of [null, await mesh.identity('acme', 'thief')])
        assert.match(await replay(token, dir), /^HTTP\/1\.1 403 [\s\S]*MESH_TOKEN_BINDING/)
    }
    assert.ok(thief.seen.length >= 2)
  })

  it('goes on while its certificate is renewed: no fetch fails, and new tokens are of the new certificate', async () => {
    const who = { tenant: 'acme', agent: 'lasting' }
    const lasting = await agent('lasting')
    let stop = false
    let fetched = 0
    const load = Promise.all(
      [plain, tunnelled, plain, tunnelled].map(async (url) => {
        while (!stop) {
          assert.equal((await lasting.fetch(url)).status, 200)
          fetched += 1
        }
      }),
    )
    load.catch(() => {})
    const used = new Set<unknown>()
    for (let n = 0; n < RENEWALS; n += 1) {
      await mesh.renew(who)
      await waitFor('a record under a new certificate', async () => {
        const lines = (await mesh.audit()).filter((line) => line.agent_id === 'lasting')
        const now = lines.filter(({ event }) => event === 'egress').at(-1)?.certificate
        if (now === undefined || now === null || used.has(now)) return false
        used.add(now)
        return true
      })
    }
    stop = true
    await load
    assert.ok(fetched > RENEWALS)
    const refused = (await mesh.audit()).filter(
      (line) => line.agent_id === 'lasting' && line.event === 'egress' && line.reason !== null,
    )
    assert.deepEqual(
      refused.map(({ reason }) => reason),
      [],
    )
  })

  it('speaks to no port whose certificate is neither a gateway’s nor for the host', async () => {
    const impostor = await mesh.identity('acme', 'impostor')
    const stranger = mint({ dnsNames: ['gateway.mesh.internal'] })
    const pairs = [
      [
        await readFile(join(impostor, 'tls.crt'), 'utf8'),
        await readFile(join(impostor, 'tls.key'), 'utf8'),
      ],
      [stranger.pem, stranger.keyPem],
    ] as const
    for (const [cert, key] of pairs) {
      const { port, seen } = await between(cert, key)
      const careful = await agent('careful', {
        egress: `https://127.0.0.1:${port}`,
        ...(cert === stranger.pem ? { egressPortCa: stranger.pem } : {}),
      })
      for (const url of [plain, tunnelled])
        await assert.rejects(careful.fetch(url), { code: 'MESH_GATEWAY_UNTRUSTED' })
      assert.deepEqual(seen, [], 'no token was sent')
    }
  })

  it('trusts a CA of its own for the port, where the certificate is for the host', async () => {
    const local = mint({ dnsNames: ['localhost'] })
    const { port, seen } = await between(local.pem, local.keyPem)
    const trusting = await agent('trusting', {
      egress: `https://localhost:${port}`,
      egressPortCa: local.pem,
    })
    await assert.rejects(trusting.fetch(plain))
    assert.ok(seen.length > 0)
    const wary = await agent('trusting', { egress: `https://localhost:${port}` })
    await assert.rejects(wary.fetch(plain), { code: 'MESH_GATEWAY_UNTRUSTED' })
  })

  it('is told when nobody speaks TLS there', async () => {
    const dead = await agent('planner', { egress: 'https://127.0.0.1:9' })
    for (const url of [plain, tunnelled])
      await assert.rejects(dead.fetch(url), { code: 'MESH_GATEWAY_UNREACHABLE' })
  })

  it('sends no token in the clear to another machine, unless it is told to', async () => {
    const identity = await mesh.identity('acme', 'planner')
    const options = { gateway: mesh.gateway.delegation, identity }
    const elsewhere = 'http://gateway.example:8080'
    await assert.rejects(createAgent({ ...options, egress: elsewhere }), (error) => {
      assert.ok(error instanceof MeshError)
      assert.equal(error.code, 'MESH_EGRESS_PLAINTEXT')
      assert.match(error.hint, /https:\/\//)
      return true
    })
    const told: Partial<AgentOptions>[] = [
      { egress: elsewhere, allowPlaintextEgress: true },
      ...['http://localhost:1', 'http://127.1.2.3', 'http://[::1]:8080'].map((url) => ({
        egress: url,
      })),
      { egress: 'https://gateway.example' },
    ]
    for (const more of told) await (await createAgent({ ...options, ...more })).close()
    for (const more of [
      { egress: 'http://127.0.0.1:1', bindEgressTokens: true },
      { egress: 'socks5://127.0.0.1:1' },
      { egress: 'https://user:pass@127.0.0.1:1' },
      { egress, egressPortCa: '' },
    ])
      await assert.rejects(createAgent({ ...options, ...more }), TypeError)
  })
})
