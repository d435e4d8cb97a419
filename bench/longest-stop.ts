/**
 * How long the event loop of an egress port stands still while a change of policy ends or judges many live tunnels at once:
 * `node bench/longest-stop.ts [tunnels]`. Clients and destination are processes of their own. Needs two descriptors for each tunnel.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { basic, connectTo, setUp } from '../test/mesh-gateway/egress/setup.ts'

const [role = 'gateway', ...rest] = process.argv.slice(2)
const AT_ONCE = 200

if (role === 'upstream') await serveUpstream()
else if (role === 'clients') await openTunnels(Number(rest[0]), Number(rest[1]), Number(rest[2]))
else await measure(Number(role) || 20_000)

async function serveUpstream(): Promise<void> {
  const server = createServer((socket) => socket.on('error', () => {}).resume())
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 })
  await once(server, 'listening')
  const address = server.address()
  process.stdout.write(`${typeof address === 'object' ? address?.port : ''}\n`)
  process.stdin.resume().on('end', () => process.kill(process.pid))
}

async function openTunnels(gateway: number, port: number, count: number): Promise<void> {
  const [token] = await once(createInterface(process.stdin), 'line')
  const open: Socket[] = []
  const one = async () => {
    const socket = connect(gateway, '127.0.0.1').on('error', () => {})
    socket.write(connectTo(port, basic(String(token))))
    await once(socket, 'data')
    socket.resume()
    open.push(socket)
  }
  let left = count
  const line = async () => {
    while (left > 0) {
      left -= 1
      await one()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, line))
  process.stdout.write(`${open.length}\n`)
  process.stdin.resume().on('end', () => process.kill(process.pid))
}

function child(...args: string[]) {
  const self = fileURLToPath(import.meta.url)
  const started = spawn(process.execPath, [self, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const said = once(createInterface(started.stdout), 'line').then(([text]) => Number(text))
  return { started, said }
}

async function measure(count: number): Promise<void> {
  const upstream = child('upstream')
  const port = await upstream.said
  const allow = [`api.test:${port}`]
  const global = { ports: [port] }
  const changes: [string, object, number][] = [
    ['forbids none of them', { allow, deny: ['other.test'] }, 0],
    [
      'limits them for the first time, to as many',
      { allow, limits: { concurrentTunnels: count } },
      0,
    ],
    ['allows one of them at once', { allow, limits: { concurrentTunnels: 1 } }, count - 1],
    ['forbids all of them', { allow: [] }, count],
  ]
  for (const [what, policy, ends] of changes) {
    const bounds = { maxConnections: count * 2, maxConnectionsPerDestination: count * 2 }
    const setup = setUp()
    const egress = await setup.egress(port, {
      egress: { allow },
      global,
      port: { ...bounds, maxConnectionsPerAgent: count * 2 },
    })
    const clients = child('clients', `${egress.number}`, `${port}`, `${count}`)
    clients.started.stdin.write(`${await egress.token({ destinations: allow })}\n`)
    await clients.said
    // what opening them has left to be collected is not to be measured
    await delay(2_000)
    const lag = monitorEventLoopDelay({ resolution: 1 })
    lag.enable()
    await delay(50)
    const begun = performance.now()
    egress.setPolicy(policy, global)
    const stopMs = performance.now() - begun
    while (egress.records.length < ends) await delay(1)
    const allMs = performance.now() - begun
    await delay(300)
    lag.disable()
    const p99 = (lag.percentile(99) / 1e6).toFixed(1)
    process.stdout.write(
      `${count} tunnels, policy ${what}: longest stop ${(lag.max / 1e6).toFixed(1)} ms (p99 ${p99}), of that the change itself ${stopMs.toFixed(1)} ms; ${ends} records after ${allMs.toFixed(0)} ms\n`,
    )
    clients.started.stdin.end()
    await once(clients.started, 'close')
    await setup.close()
  }
  upstream.started.stdin.end()
}
