/**
 * What a relay adds to the egress port: `node bench/relay.ts [requests]`. Asks the port with a token and through `mesh-agent relay` with
 * a secret, in turns, so that both see the same machine. Prints latencies, requests per second, and the CPU time of the relay.
 */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import {
  bundledCommand,
  credentialIn,
  placeFor,
  startRelayProcess,
} from '../test/mesh-agent/relay/relay-process.ts'
import { issueToken } from '../test/mesh-gateway/cli/run-here.ts'
import { rawClient, sendRaw } from '../test/mesh-gateway/egress/fixture.ts'
import { basic, connectTo, get } from '../test/mesh-gateway/egress/setup.ts'
import { listenOnFreePort } from '../test/support/http-origin.ts'
import { startMesh } from '../test/support/mesh.ts'
import { cpuNanoseconds, residentBytes } from './measure/cpu-time.ts'
import { quantile } from './measure/statistics.ts'

const REQUESTS = Number(process.argv[2] ?? 2_000)
const AT_ONCE = 16
const BLOCK_BYTES = 64 * 1024
const TUNNEL_MIB = 16
const IDLE = 200

/** Answers HTTP once, and otherwise sends back what it gets. */
function serve(socket: Socket): void {
  socket.on('error', () => {})
  socket.once('data', (chunk: Buffer) => {
    if (chunk.toString('latin1', 0, 4) === 'GET ') {
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      return
    }
    socket.write(chunk)
    socket.pipe(socket)
  })
}

const origin = createServer(serve)
const port = await listenOnFreePort(origin)
const mesh = await startMesh({
  policy: {
    _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port] } },
    acme: {
      egress: { allow: [`api.test:${port}`], limits: { requestsPerMinute: 1e9, burst: 1e9 } },
    },
  },
})
mesh.addHost('api.test', ['127.0.0.1'])
const place = await placeFor(mesh)
const relay = startRelayProcess(await bundledCommand(mesh.dir), place.flags)
await relay.event('listening')
const ways = {
  port: {
    to: Number(mesh.gateway.egress.split(':')[1]),
    credential: basic(await issueToken(mesh.dir, 'bot-01')),
  },
  relay: { to: place.port, credential: await credentialIn(place.secretFile) },
}
type Way = (typeof ways)['port']

async function ask({ to, credential }: Way): Promise<number> {
  const began = performance.now()
  const answer = await sendRaw(to, get(port, `${credential}Connection: close\r\n`))
  if (!answer.startsWith('HTTP/1.1 200 ')) throw new Error(answer)
  return performance.now() - began
}

async function tunnel({ to, credential }: Way) {
  const client = await rawClient(to)
  client.socket.setNoDelay(true)
  client.send(connectTo(port, credential))
  await client.until((text) => text.startsWith('HTTP/1.1 200 '))
  client.socket.removeAllListeners('data')
  return client.socket
}

async function echo(socket: Socket, bytes: Buffer): Promise<void> {
  let left = bytes.length
  const { promise, resolve } = Promise.withResolvers<void>()
  const onData = (chunk: Buffer) => {
    left -= chunk.length
    if (left === 0) resolve()
  }
  socket.on('data', onData)
  socket.write(bytes)
  await promise
  socket.off('data', onData)
}

const say = (text: string) => void process.stdout.write(`${text}\n`)
const ms = (values: readonly number[], q: number) => quantile(values, q).toFixed(2)
const inTurns = async (times: number, work: (way: Way) => Promise<number>) => {
  const took: Record<keyof typeof ways, number[]> = { port: [], relay: [] }
  for (let turn = 0; turn < times; turn += 1)
    for (const name of ['port', 'relay'] as const) took[name].push(await work(ways[name]))
  return took
}
const tell = (
  what: string,
  { port: direct, relay: through }: Record<keyof typeof ways, number[]>,
) =>
  say(
    `${what}: p50 ${ms(direct, 0.5)} ms, through the relay ${ms(through, 0.5)} ms; p99 ${ms(direct, 0.99)} and ${ms(through, 0.99)} ms`,
  )

await inTurns(200, ask)
tell('a request in absolute form', await inTurns(REQUESTS / 4, ask))
const [direct, through] = [await tunnel(ways.port), await tunnel(ways.relay)]
const byte = Buffer.from('x')
tell(
  'a byte there and back in a tunnel',
  await inTurns(REQUESTS, async (way) => {
    const began = performance.now()
    await echo(way === ways.port ? direct : through, byte)
    return performance.now() - began
  }),
)

for (const [name, way] of Object.entries(ways)) {
  const [cpu, began] = [cpuNanoseconds([relay.pid]), performance.now()]
  let left = REQUESTS
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left-- > 0) await ask(way)
    }),
  )
  const seconds = (performance.now() - began) / 1_000
  const cpuMs = (cpuNanoseconds([relay.pid]) - cpu) / 1e6 / REQUESTS
  say(
    `${name}: ${(REQUESTS / seconds).toFixed(0)} requests a second, ${AT_ONCE} at once; CPU of the relay ${cpuMs.toFixed(3)} ms each`,
  )
}
for (const [name, socket] of Object.entries({ port: direct, relay: through })) {
  const [cpu, began] = [cpuNanoseconds([relay.pid]), performance.now()]
  const block = Buffer.alloc(BLOCK_BYTES)
  for (let sent = 0; sent < TUNNEL_MIB * 1024 * 1024; sent += BLOCK_BYTES) await echo(socket, block)
  const seconds = (performance.now() - began) / 1_000
  const cpuMs = (cpuNanoseconds([relay.pid]) - cpu) / 1e6 / TUNNEL_MIB
  say(
    `${name}: ${(TUNNEL_MIB / seconds).toFixed(0)} MiB a second there and back; CPU of the relay ${cpuMs.toFixed(2)} ms for each`,
  )
}
const mib = () => ((residentBytes(relay.pid) ?? 0) / 1024 / 1024).toFixed(0)
const atFirst = mib()
const idle: Socket[] = []
while (idle.length < IDLE) idle.push(await tunnel(ways.relay))
say(`the relay: ${atFirst} MiB, with ${IDLE} idle tunnels ${mib()} MiB`)
for (const socket of [...idle, direct, through]) socket.destroy()
relay.child.kill('SIGTERM')
await relay.ended
origin.close()
await once(origin, 'close').catch(() => {})
await mesh.close()
