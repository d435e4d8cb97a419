/**
 * How long after `revoke certificate` the last tunnel and the last stream of an agent end, by the gateway's audit log:
 * `node bench/certificate-cuts.ts [tunnels and streams]`. The gateway is a process of its own; agent and destinations are this one.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { checkIsGateway, clientTlsOptions, openIdentity } from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate, loadProto, messageOf } from '@clawmesh/proto'
import { call, frame } from '../test/mesh-gateway/delegation/fixture.ts'
import { startMesh } from '../test/support/mesh.ts'

const CUT: ReadonlySet<string> = new Set(['MESH_TOKEN_REVOKED', 'MESH_IDENTITY_REVOKED'])
const COUNT = Number(process.argv[2]) || 500
const COMMAND = fileURLToPath(new URL('../node_modules/.bin/mesh-gateway', import.meta.url))
const upstream = createServer((socket) => socket.on('error', () => {}).resume())
upstream.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 })
await once(upstream, 'listening')
const bound = upstream.address()
const port = typeof bound === 'object' && bound !== null ? bound.port : 0
const to = `127.0.0.1:${port}`
const mesh = await startMesh({
  policy: {
    acme: { egress: { allow: [to] }, delegation: { allow: [{ from: '*', to: '*' }] } },
    _global: { egress: { ports: [port], allowCidrs: ['127.0.0.0/8'] } },
  },
  config: { revocation: { list: 'revoked.json' } },
})
await mesh.serve('acme', 'researcher', {
  ...{ maxRunning: COUNT + 10, maxRunningPerTenant: COUNT + 10, maxRunningPerCaller: COUNT + 10 },
  skills: {
    async hold(_task, context) {
      context.message('begun')
      await new Promise(() => {})
    },
  },
})
const planner = await mesh.agent('acme', 'planner')
for (let begun = 0; begun < COUNT; begun += 1) {
  const delegation = planner.delegate('researcher', { skill: 'hold' })
  for await (const event of delegation) if (event.kind === 'message') break
  delegation.result().catch(() => {})
}
const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const identity = await openIdentity({ dir: await mesh.identity('acme', 'planner'), spiffe })
const token = await exchange()
const open: Socket[] = []
while (open.length < COUNT) open.push(await openTunnel())
const ended = open.map((socket) => new Promise((closed) => socket.once('close', closed)))
const revoke = ['revoke', 'certificate', identity.current().fingerprint]
await promisify(execFile)(process.execPath, [
  ...[COMMAND, ...revoke],
  ...['--config', mesh.gateway.configFile],
])
// the time at which the list was written
const beganMs = (await stat(join(mesh.dir, 'revoked.json'))).mtimeMs
await Promise.all(ended)
for (;;) {
  const cut = (await mesh.audit()).filter(({ reason }) => CUT.has(String(reason)))
  const endedMs = (event: string) =>
    cut.filter((line) => line.event === event).map(({ time }) => Date.parse(String(time)) - beganMs)
  const [tunnels, streams] = [endedMs('egress'), endedMs('delegation')]
  if (tunnels.length >= COUNT && streams.length >= COUNT) {
    const last = (of: number[]) => Math.max(...of.toSorted((a, b) => a - b).slice(0, COUNT))
    process.stdout.write(
      `${COUNT} tunnels and ${COUNT} streams of one agent: after \`revoke certificate\` the last tunnel ended in ${last(tunnels).toFixed(0)} ms, the last stream in ${last(streams).toFixed(0)} ms\n`,
    )
    break
  }
  await sleep(50)
}
await identity.close()
await mesh.close()
upstream.close()

async function exchange(): Promise<string> {
  const [host = '', port = ''] = mesh.gateway.delegation.split(':')
  const options = clientTlsOptions(identity.current(), spiffe, checkIsGateway, {
    servername: 'gateway.mesh.internal',
  })
  const socket = tls.connect({ ...options, host, port: Number(port) })
  const session = connectHttp2('https://gateway.mesh.internal', { createConnection: () => socket })
  for (const one of [socket, session]) one.on('error', () => {})
  const answer = await call(
    session,
    {
      ':path': '/clawmesh.mesh.v1.MeshService/ExchangeToken',
      ':authority': 'gateway.mesh.internal',
    },
    frame(Buffer.alloc(0)),
  )
  session.destroy()
  const protos = loadProto('clawmesh/mesh/v1/mesh.proto')
  const message = messageOf<{ token: string }>(protos, 'clawmesh.mesh.v1.ExchangeTokenResponse')
  return message.deserialize(answer.body.subarray(5)).token
}

async function openTunnel(): Promise<Socket> {
  const [host = '', port = ''] = mesh.gateway.egress.split(':')
  const socket = connect(Number(port), host).on('error', () => {})
  socket.write(
    `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`,
  )
  await once(socket, 'data')
  return socket.resume()
}
