/**
 * A program for a namespace whose resolv.conf has a search domain that answers any name: `corp.internal`, with 127.0.0.66. The names
 * that are meant are at 127.0.0.2. Prints which of the two was reached, by each way on which the gateway looks names up.
 */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import { createSecureContext } from 'node:tls'
import { locate } from '../../../mesh-gateway/src/delegation/upstream/locate.ts'
import { createResolver } from '../../../mesh-gateway/src/resolve/create-resolver.ts'
import { fetchJwks } from '../../../mesh-gateway/src/tokens/external/fetch-jwks.ts'
import { type DnsAnswer, startDnsDouble } from '../../support/dns-double.ts'
import { closeServer } from '../../support/http-origin.ts'
import { makeTestCa } from '../../support/test-ca.ts'
import { rawClient } from '../egress/fixture.ts'
import { basic, setUp } from '../egress/setup.ts'

const MEANT = '127.0.0.2'
const OTHER = '127.0.0.66'
const PEER = 'planner.acme.mesh.internal'
const SERVED = 'worker.acme.mesh.internal'
const ZONE: Readonly<Record<string, DnsAnswer>> = {
  'api.vendor.com': { ips: [MEANT], ttl: 1 },
  [PEER]: { ips: [MEANT], ttl: 1 },
  // the target of one label is a whole name
  [`_grpc._tcp.${SERVED}`]: { ips: [], ttl: 1, services: [{ target: 'bare', port: 7443 }] },
  bare: { ips: [MEANT], ttl: 1 },
}
const WILD: DnsAnswer = {
  ips: [OTHER],
  ttl: 1,
  services: [{ target: 'evil.corp.internal', port: 1 }],
}

const said: RequestListener = ({ socket }, response) => response.end(`at ${socket.localAddress}`)
const servers: (Server | TlsServer)[] = []
async function onBoth(make: () => Server | TlsServer, port = 0): Promise<number> {
  for (const host of [MEANT, OTHER]) {
    const server = make().listen(port, host)
    servers.push(server)
    await once(server, 'listening')
    const bound = server.address()
    if (bound !== null && typeof bound === 'object') port = bound.port
  }
  return port
}

const dns = await startDnsDouble(
  (name) => ZONE[name] ?? (name.endsWith('.corp.internal') ? WILD : { ips: [], ttl: 1 }),
  53,
)
const ca = await makeTestCa()
const issued = ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' })
const plain = await onBoth(() => createServer(said))
const secure = await onBoth(() =>
  createTlsServer({ cert: issued.certificateChain, key: issued.privateKey.reveal() }, said),
)
const resolver = createResolver()
const names = ['api.vendor.com', 'listed.vendor.com', 'vendor']
const setup = setUp()
const egress = await setup.egress(plain, {
  egress: { allow: names.map((name) => ({ host: `${name}:${plain}`, scheme: 'http' })) },
  port: { resolver },
})
const auth = basic(await egress.token({ destinations: names.map((name) => `${name}:${plain}`) }))

async function reached(...requests: readonly string[]): Promise<string> {
  const client = await rawClient(egress.number)
  for (const [index, request] of requests.entries()) {
    client.send(request)
    if (index < requests.length - 1) await client.until((text) => text.includes('\r\n\r\n'))
  }
  const answer = await client.rest()
  client.socket.destroy()
  return /at ([\d.]+)/.exec(answer)?.[1] ?? answer
}
const close = 'Connection: close\r\n'
const absolute = (host: string) =>
  reached(`GET http://${host}:${plain}/ HTTP/1.1\r\nHost: ${host}:${plain}\r\n${auth}${close}\r\n`)
const relay = (host: string) =>
  reached(`GET / HTTP/1.1\r\nHost: ${host}:${plain}\r\n${auth}${close}\r\n`)
const tunnel = (host: string) =>
  reached(
    `CONNECT ${host}:${plain} HTTP/1.1\r\nHost: ${host}:${plain}\r\n${auth}\r\n`,
    `GET / HTTP/1.1\r\nHost: ${host}:${plain}\r\n${close}\r\n`,
  )
const ipsOf = async (host: string, port: number | null) =>
  (await locate(resolver, host, port, port === null ? [] : [port])).endpoints
    .map(({ ip }) => ip)
    .join()
const direct = createResolver({ servers: ['127.0.0.1:53'] })
const byServers = (name: string) =>
  direct.addresses(name).then(
    (found) => found.map(({ ip }) => ip).join(),
    (error: unknown) => String(error),
  )
const trust = createSecureContext({ ca: issued.roots })

const found = {
  absolute: await absolute('api.vendor.com'),
  'absolute, trailing dot': await absolute('api.vendor.com.'),
  relay: await relay('api.vendor.com'),
  tunnel: await tunnel('api.vendor.com'),
  'tunnel, trailing dot': await tunnel('api.vendor.com.'),
  'in the hosts file': await absolute('listed.vendor.com'),
  'one label': await absolute('vendor'),
  'by dns.servers': await byServers('api.vendor.com'),
  'one label, by dns.servers': await byServers('vendor'),
  'a peer': await ipsOf(PEER, 7443),
  'a peer by SRV': await ipsOf(SERVED, null),
  'keys of an issuer': (
    await fetchJwks({ uri: `https://${PEER}:${secure}/keys`, trust, resolver })
  ).text.slice(3),
}
process.stdout.write(JSON.stringify({ found, asked: dns.asked }))
await setup.close()
resolver.close()
direct.close()
await dns.close()
for (const server of servers) await closeServer(server)
await ca.close()
