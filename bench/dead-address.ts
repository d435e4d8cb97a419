/**
 * Connections to a destination of whose two addresses the first takes no packet: `node bench/dead-address.ts`. Prints how long CONNECT takes
 * on the first connection, on the second, and on one to a destination without a dead address.
 */
import { rawClient } from '../test/mesh-gateway/egress/fixture.ts'
import { basic, connectTo, setUp } from '../test/mesh-gateway/egress/setup.ts'
import { startDeadAddress } from '../test/support/dead-address.ts'

const setup = setUp()
const { port } = await setup.upstream(() => {})
const dead = await startDeadAddress('127.0.0.2', port)
const hosts = ['one-dead.test', 'sound.test']
const egress = await setup.egress(port, {
  names: { 'one-dead.test': [dead.host, '127.0.0.1'], 'sound.test': ['127.0.0.1'] },
  egress: { allow: hosts.map((host) => `${host}:${port}`) },
})
const auth = basic(await egress.token({ destinations: hosts.map((host) => `${host}:${port}`) }))

async function connectMs(host: string): Promise<number> {
  const client = await rawClient(egress.number)
  const began = performance.now()
  client.send(connectTo(port, auth, host))
  await client.until((text) => text.startsWith('HTTP/1.1 200 '))
  const took = performance.now() - began
  client.socket.destroy()
  return took
}

// what is compiled at the first request is no matter of addresses
await connectMs('sound.test')
for (const [what, host] of [
  ['without a dead address', 'sound.test'],
  ['one address of two dead, first connection', 'one-dead.test'],
  ['one address of two dead, second connection', 'one-dead.test'],
] as const)
  process.stdout.write(`${what}: ${(await connectMs(host)).toFixed(0)} ms\n`)
await setup.close()
await dead.close()
