/** The real process under attack by an agent with a good certificate, and by strangers; another tenant's calls go on. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import {
  checkIsGateway,
  clientTlsOptions,
  type IdentitySnapshot,
  loadIdentity,
} from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate } from '@clawmesh/proto'
import { type Mesh, startMesh } from '../support/mesh.ts'
import {
  type Header,
  headersFrame,
  PREFACE,
  type RawSide,
  rawSide,
  rstFrame,
  settingsFrame,
} from '../support/raw-http2.ts'

const RESETS = 10_000
const SOCKETS = 1_000

describe('an attacked gateway goes on', function () {
  this.timeout(240_000)
  const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
  let mesh: Mesh
  let attacker: IdentitySnapshot
  let canary: { readonly errors: string[]; calls(): number; stop(): Promise<void> }
  let pid: number

  before(async () => {
    mesh = await startMesh({
      policy: {
        acme: { delegation: { allow: [{ from: '*', to: '*' }] } },
        globex: { delegation: { allow: [{ from: '*', to: '*' }] } },
      },
    })
    pid = mesh.gateway.pid
    await mesh.serve('acme', 'worker', { skills: { echo: (task) => task.text() } })
    await mesh.serve('globex', 'worker', { skills: { echo: (task) => task.text() } })
    attacker = await loadIdentity(await mesh.identity('acme', 'attacker'), { spiffe })
    const other = await mesh.agent('globex', 'planner')
    canary = sing(async () => {
      const result = await other.delegate('worker', { skill: 'echo', input: 'hello' }).result()
      assert.equal(result.text(), 'hello')
    })
  })
  after(async () => {
    await canary?.stop()
    await mesh?.close()
  })
  afterEach('the process is the same, and the other tenant saw nothing', async () => {
    const before = canary.calls()
    while (canary.calls() < before + 3 && canary.errors.length === 0) await sleep(10)
    assert.deepEqual(canary.errors, [])
    assert.equal(mesh.gateway.pid, pid)
    process.kill(pid, 0)
  })

  async function attack(): Promise<RawSide> {
    const [host = '', port] = mesh.gateway.delegation.split(':')
    const socket = tls.connect({
      ...clientTlsOptions(attacker, spiffe, checkIsGateway),
      host,
      port: Number(port),
    })
    await once(socket, 'secureConnect')
    const side = rawSide(socket)
    await side.send(PREFACE, settingsFrame())
    return side
  }

  const head = (agent: string): Header[] => [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':path', '/clawmesh.delegation.v1.DelegationService/Get'],
    [':authority', `${agent}.acme.mesh.internal`],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ]

  it(`through ${RESETS} calls that are reset at once, over as many connections as it takes`, async () => {
    let sent = 0
    while (sent < RESETS) {
      const side = await attack()
      for (let stream = 1; sent < RESETS; stream += 2, sent += 1)
        if (!(await side.send(headersFrame(stream, head('worker')), rstFrame(stream)))) break
      side.socket.destroy()
      // a connection that was cut takes none of them: what is counted is what was tried
      sent += 1
    }
  })

  it(`through ${SOCKETS} connections that say nothing, and as many that break off a handshake`, async () => {
    const [host = '', port] = mesh.gateway.delegation.split(':')
    const sockets: Socket[] = []
    for (let i = 0; i < SOCKETS; i += 1) {
      const socket = connect(Number(port), host)
      socket.on('error', () => {})
      // a handshake record that promises more than it brings
      if (i % 2 === 0)
        socket.once('connect', () => socket.write(Buffer.from('160301ffff01', 'hex')))
      sockets.push(socket)
    }
    await Promise.all(
      sockets.map((socket) =>
        Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => {}),
      ),
    )
    for (const socket of sockets) socket.destroy()
  })

  it('through a thousand streams that are opened and left alone', async () => {
    const side = await attack()
    for (let stream = 1; stream < 2_000; stream += 2)
      if (!(await side.send(headersFrame(stream, head('worker'))))) break
    side.socket.destroy()
  })

  it('through bytes that are no HTTP/2 at all', async () => {
    for (let i = 0; i < 50; i += 1) {
      const side = await attack()
      await side.send(Buffer.alloc(4_096, i + 1))
      await side.closed
    }
  })
})

/** Calls on and on, and keeps what went wrong. */
function sing(once: () => Promise<void>) {
  const errors: string[] = []
  let calls = 0
  let stopping = false
  const song = (async () => {
    while (!stopping) {
      try {
        await once()
        calls += 1
      } catch (error) {
        errors.push(String(error))
      }
      await sleep(5)
    }
  })()
  return {
    errors,
    calls: () => calls,
    async stop() {
      stopping = true
      await song
    },
  }
}
