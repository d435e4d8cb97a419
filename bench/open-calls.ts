/**
 * Memory of the open calls of one agent: `node bench/open-calls.ts [calls] [bound]`. Default 100,000 calls under the default
 * limits; with a bound, the limits of agent, tenant and gateway are that. Prints how many were let in, and the gateway's memory.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type ClientHttp2Session, connect, createSecureServer } from 'node:http2'
import tls from 'node:tls'
import {
  checkIsGateway,
  clientTlsOptions,
  openIdentity,
  serverTlsOptions,
} from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate } from '@clawmesh/proto'
import { startMesh } from '../test/support/mesh.ts'

const calls = Number(process.argv[2] ?? 100_000)
const bound = process.argv[3] === undefined ? null : Number(process.argv[3])
const PER_CONNECTION = 1_000

const limits =
  bound === null ? {} : { maxCalls: bound, maxCallsPerTenant: bound, maxCallsPerAgent: bound }
const mesh = await startMesh({
  policy: { acme: { delegation: { allow: [{ from: '*', to: '*' }] } } },
  config: { delegation: { limits } },
})
const spiffe = createSpiffeTemplate({ trustDomain: mesh.trustDomain })
const host = await openIdentity({ dir: await mesh.identity('acme', 'host'), spiffe })
const caller = await openIdentity({ dir: await mesh.identity('acme', 'caller'), spiffe })

let held = 0
const server = createSecureServer({
  ...serverTlsOptions(host.current()),
  settings: { maxConcurrentStreams: 2 ** 31 },
})
server.on('stream', (stream) => {
  held += 1
  stream.on('error', () => {})
})
server.on('session', (session) => session.on('error', () => {}))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const address = server.address()
mesh.announce('acme', 'host', typeof address === 'object' && address !== null ? address.port : 0)

const megabytes = async () => {
  const status = await readFile(`/proc/${mesh.gateway.pid}/status`, 'utf8')
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024)
}

async function openSession(): Promise<ClientHttp2Session> {
  const [name = '', port] = mesh.gateway.delegation.split(':')
  const servername = `gateway.${mesh.trustDomain}`
  const options = clientTlsOptions(caller.current(), spiffe, checkIsGateway, { servername })
  const session = connect(`https://${servername}`, {
    createConnection: () => tls.connect({ ...options, host: name, port: Number(port) }),
    maxSessionMemory: 1_000,
  })
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  return session
}

let refused = 0
const before = await megabytes()
for (let begun = 0; begun < calls; begun += PER_CONNECTION) {
  const session = await openSession()
  const count = Math.min(PER_CONNECTION, calls - begun)
  const answered = refused + held + count
  for (let n = 0; n < count; n += 1) {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.v1.Hold/Hold',
      ':authority': 'host.acme.mesh.internal',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    stream.once('close', () => {
      refused += 1
    })
    stream.on('error', () => {}).resume()
  }
  while (refused + held < answered) await new Promise((resolve) => setTimeout(resolve, 10))
}
const after = await megabytes()
// what was refused leaves garbage, which is no memory of open calls
const each = refused > 0 ? '' : `, ${Math.round(((after - before) * 1024) / held)} KiB for each`
process.stdout.write(
  `${calls} calls: ${held} let in, ${refused} refused; memory of the gateway ${before} MB before, ` +
    `${after} MB after${each}\n`,
)
await mesh.gateway.kill()
server.close()
await mesh.close()
await host.close()
await caller.close()
process.exit()
