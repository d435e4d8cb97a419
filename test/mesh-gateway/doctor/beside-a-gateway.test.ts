import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type TLSSocket } from 'node:tls'
import { loadIdentity, serverTlsOptions } from '@clawmesh/agent-sdk/mesh'
import { readPorts } from '../../../mesh-gateway/src/doctor/read-ports.ts'
import { describeClosing } from '../../support/closes-everything.ts'
import { startMesh } from '../../support/mesh.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { runHere } from '../cli/run-here.ts'
import { listeningAt } from './listening-at.ts'

const TIMES = 3

describeClosing('the doctor beside a gateway that runs', () => {
  let dir = ''
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-doctor-'))
  })
  after(() => rm(dir, { recursive: true, force: true }))

  for (const [what, more] of [
    ['its ports', () => ({})],
    ['its socket', () => ({ egress: { listen: `unix:${join(dir, 'egress.sock')}` } })],
    ['its workers', () => ({ workers: 2 })],
    [
      'its ports, of which those behind proxies answer nobody else',
      () => ({
        egress: { proxyProtocol: { from: ['192.0.2.0/24'] } },
        delegation: { proxyProtocol: { from: ['192.0.2.0/24'] } },
      }),
    ],
  ] as const)
    it(`leaves no word in its log, however often it looks at ${what}`, async function () {
      this.timeout(240_000)
      const mesh = await startMesh({
        policy: { acme: { delegation: { allow: [{ from: 'planner', to: '*' }] } } },
        config: { ...more(), log: { level: 'warn' } },
      })
      try {
        await mesh.serve('acme', 'researcher', { skills: { echo: (task) => task.text() } })
        const { gateway } = mesh
        for (let time = 0; time < TIMES; time += 1) {
          const args = ['doctor', '--config', gateway.configFile, '--peer', 'acme/researcher']
          const { code, stdout, stderr } = await runHere(dir, args)
          assert.equal(code, 0, stdout + stderr)
          assert.match(stdout, /^fine +ports .*a mesh-gateway runs, process \d+$/m)
        }
        const metrics = await (await fetch(`http://${gateway.admin}/metrics`)).text()
        const refused = metrics.split('\n').filter((line) => /^clawmesh_connections_ref/.test(line))
        assert.deepEqual(refused, [], 'it counts no connection as refused')
        await gateway.stop()
        const said = gateway.lastLines().filter((line) => line.startsWith('{'))
        assert.deepEqual(said, [], 'at level warn it has nothing to say')
      } finally {
        await mesh.close()
      }
    })
})

describeClosing('the doctor knows a gateway by its certificate, when', () => {
  let ca: TestCa
  before(async () => {
    ca = await makeTestCa()
  })
  after(() => ca.close())

  /** What it makes of a delegation port with the certificate of a gateway. */
  const look = async (behave: (socket: TLSSocket) => void, alpn: readonly 'h2'[] = ['h2']) => {
    const dir = await ca.gatewayDir({ name: 'gw', tenants: ['acme'] })
    const identity = await loadIdentity(dir, { spiffe: ca.spiffe })
    const open = new Set<TLSSocket>()
    const server = createServer({ ...serverTlsOptions(identity), ALPNProtocols: [...alpn] })
    server.on('secureConnection', (socket) => {
      open.add(socket)
      socket.on('error', () => {})
      behave(socket)
    })
    const port = await listening(server)
    const config = listeningAt(ca.dir, { 'delegation-listen': `127.0.0.1:${port}` })
    try {
      const [facts] = await readPorts(config, identity, ca.spiffe)
      return facts?.isGateway
    } finally {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    }
  }

  it('it says nothing after the handshake, speaks garbage, hangs up, or speaks no HTTP/2', async () => {
    for (const behave of [
      (socket: TLSSocket) => socket.resume(),
      (socket: TLSSocket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(100)),
      (socket: TLSSocket) => socket.destroy(),
      (socket: TLSSocket) => socket.end(),
    ])
      assert.equal(await look(behave), true)
    assert.equal(await look((socket) => socket.resume(), []), true)
  })
})

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return port
}
