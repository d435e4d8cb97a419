/**
 * How long a gateway stands still, and how long a stranger's `/health` takes, while an agent asks for what is dear under a policy
 * that was made for it: `node bench/longest-stop-of-decisions.ts`. The inputs of issue 8, points 1 to 3, through the real ports of
 * a gateway that is a process of its own.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { get } from 'node:http'
import { type ClientHttp2Session, connect as connectHttp2, createSecureServer } from 'node:http2'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import {
  checkIsGateway,
  clientTlsOptions,
  openIdentity,
  serverTlsOptions,
} from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate } from '@clawmesh/proto'
import { loadProto, messageOf } from '@clawmesh/proto/wire'
import { call, frame } from '../test/mesh-gateway/delegation/fixture.ts'
import { type Mesh, type PolicyFiles, startMesh } from '../test/support/mesh.ts'

const REFLECTION = 'grpc.reflection.v1.ServerReflection/ServerReflectionInfo'
const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const protos = loadProto('clawmesh/mesh/v1/mesh.proto')
const scratch = await mkdtemp(join(tmpdir(), 'longest-stop-'))
const socketPath = join(scratch, 'probe')
// for the gateway, which gets the environment of this process
process.env.NODE_OPTIONS = `--import=${new URL('./process/stops-probe.ts', import.meta.url)}`
process.env.STOPS_SOCKET = socketPath

type Act = () => Promise<string>

function many<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, n) => make(n))
}

/** Since it was asked the last time. */
async function longestStop(): Promise<{ wallMs: number; cpuMs: number }> {
  const pieces: Buffer[] = []
  for await (const piece of createConnection(socketPath)) pieces.push(piece)
  return JSON.parse(Buffer.concat(pieces).toString())
}

/** Milliseconds until `/health` of the egress port has been answered, or the connection is lost. */
async function health(address: string): Promise<number> {
  const beganMs = performance.now()
  try {
    const [response] = await once(get(`http://${address}/health`, { agent: false }), 'response')
    response.resume()
    await once(response, 'end')
  } catch {
    // it waited all the same
  }
  return performance.now() - beganMs
}

/** What happens while `act` runs, and a moment before and after. */
async function watch(what: string, address: string, act: Act): Promise<void> {
  let over = false
  let slowestMs = 0
  const stranger = (async () => {
    while (!over) slowestMs = Math.max(slowestMs, await health(address))
  })()
  await sleep(300)
  slowestMs = 0
  await longestStop()
  const beganMs = performance.now()
  const answer = await act()
  const tookMs = performance.now() - beganMs
  await sleep(100)
  over = true
  await stranger
  const { wallMs, cpuMs } = await longestStop()
  const ms = (value: number) => `${value.toFixed(1)} ms`
  process.stdout.write(
    `${what}: answered ${answer} after ${ms(tookMs)}; longest stop ${ms(wallMs)} (CPU ${ms(cpuMs)}); slowest /health ${ms(slowestMs)}\n`,
  )
}

async function open(mesh: Mesh): Promise<ClientHttp2Session> {
  const identity = await openIdentity({ dir: await mesh.identity('acme', 'bot-01'), spiffe })
  const [host = '', port = ''] = mesh.gateway.delegation.split(':')
  const servername = 'gateway.mesh.internal'
  const options = clientTlsOptions(identity.current(), spiffe, checkIsGateway, { servername })
  const socket = tls.connect({ ...options, host, port: Number(port) })
  const session = connectHttp2(`https://${servername}`, { createConnection: () => socket })
  for (const one of [socket, session]) one.on('error', () => {})
  await once(session, 'remoteSettings')
  await identity.close()
  return session
}

async function exchange(session: ClientHttp2Session, destinations: string[]) {
  type Request = { allowed_destinations: string[] }
  const request = messageOf<Request>(protos, 'clawmesh.mesh.v1.ExchangeTokenRequest')
  const response = messageOf<{ token: string }>(protos, 'clawmesh.mesh.v1.ExchangeTokenResponse')
  const answer = await call(
    session,
    {
      ':path': '/clawmesh.mesh.v1.MeshService/ExchangeToken',
      ':authority': 'gateway.mesh.internal',
    },
    frame(Buffer.from(request.serialize({ allowed_destinations: destinations }))),
  )
  const token = answer.status === 0 ? response.deserialize(answer.body.subarray(5)).token : null
  return { status: answer.status, token }
}

async function measure(
  what: string,
  policy: PolicyFiles,
  prepare: (mesh: Mesh, session: ClientHttp2Session) => Promise<Act>,
): Promise<void> {
  const mesh = await startMesh({ policy })
  const session = await open(mesh)
  try {
    const act = await prepare(mesh, session)
    // once for nothing: what the machine does besides
    await watch(`${what}, before`, mesh.gateway.egress, () => sleep(500, 'nothing'))
    await watch(what, mesh.gateway.egress, act)
    await watch(`${what}, again`, mesh.gateway.egress, act)
  } finally {
    session.destroy()
    await mesh.close()
  }
}

async function paths(): Promise<void> {
  const globs = many(9_900, (n) => `/**a**${n}**b`)
  const acme = { egress: { allow: [{ host: 'a.test', paths: globs }] } }
  await measure('1. GET, 9,900 globs, a path of 800', { acme }, async (mesh, session) => {
    const { token } = await exchange(session, ['a.test'])
    const [host, port] = mesh.gateway.egress.split(':')
    const headers = { 'proxy-authorization': `Bearer ${token}`, host: 'a.test' }
    const path = `http://a.test/${'a'.repeat(800)}`
    return async () => {
      const [response] = await once(get({ host, port, path, headers, agent: false }), 'response')
      response.resume()
      await once(response, 'end')
      return String(response.statusCode)
    }
  })
}

async function tokens(): Promise<void> {
  const allow = many(9_000, (n) => `h${n}.a.test`)
  const deny = many(9_000, (n) => `h${n}.b.test`)
  await measure(
    '2. ExchangeToken, 9,000 allowed, 9,000 denied',
    { acme: { egress: { allow, deny } } },
    async (_mesh, session) => async () =>
      `gRPC status ${(await exchange(session, ['h1.a.test'])).status}`,
  )
}

async function reflection(count: number): Promise<void> {
  const methods = many(count, (n) => `a.B/M${n}`)
  const pair = { from: 'bot-01', to: 'peer' }
  const allow = [{ ...pair, methods: [...methods, REFLECTION] }]
  const acme = { delegation: { allow, deny: [{ ...pair, methods }] } }
  const listed = Buffer.concat(many(9_900, () => Buffer.from([0x0a, 5, 0x0a, 3, 0x61, 0x2e, 0x42])))
  const length = [
    (listed.length & 0x7f) | 0x80,
    ((listed.length >> 7) & 0x7f) | 0x80,
    listed.length >> 14,
  ]
  const answer = Buffer.concat([Buffer.from([0x32, ...length]), listed])
  await measure(`3. reflection, 69 KB, ${count} methods`, { acme }, async (mesh, session) => {
    const peer = await openIdentity({ dir: await mesh.identity('acme', 'peer'), spiffe })
    const server = createSecureServer(serverTlsOptions(peer.current()))
    server.on('session', (one) => one.unref())
    server.on('stream', (stream) => {
      stream.on('error', () => {})
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc' },
        { waitForTrailers: true },
      )
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.resume().end(frame(answer))
    })
    server.listen(0, '127.0.0.1').unref()
    await once(server, 'listening')
    await peer.close()
    const bound = server.address()
    mesh.announce('acme', 'peer', typeof bound === 'object' && bound !== null ? bound.port : 0)
    return async () => {
      const to = { ':path': `/${REFLECTION}`, ':authority': mesh.nameOf('acme', 'peer') }
      const { status, body } = await call(session, to, frame(Buffer.from([0x3a, 1, 0x2a])))
      return `gRPC status ${status}, ${body.length} bytes`
    }
  })
}

try {
  await paths()
  await tokens()
  for (const count of [20, 200, 2_000]) await reflection(count)
} finally {
  await rm(scratch, { recursive: true })
}
