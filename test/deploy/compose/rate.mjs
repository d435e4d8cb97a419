// Runs inside of a container: requests over kept connections, for as long as it is told; by the gateway with a token, and
// else by itself. Prints { requests, refused, ms, p50Ms }.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'

const { token, address, connections, ms } = JSON.parse(process.argv[1])
const headers = { host: 'outside.test' }
const kept = { keepAlive: true, maxSockets: connections }
const byGateway = () => ({
  agent: new https.Agent(kept),
  host: 'gateway.mesh.internal',
  port: 8080,
  servername: 'gateway.mesh.internal',
  path: 'http://outside.test/',
  ca: readFileSync('/etc/clawmesh/ca.crt'),
  headers: { ...headers, 'proxy-authorization': `Bearer ${token}` },
})
const byItself = () => ({ agent: new http.Agent(kept), host: address, headers })
const [{ request }, options] = token === undefined ? [http, byItself()] : [https, byGateway()]
const began = performance.now()
const seen = { requests: 0, refused: 0 }
const took = []

const ask = () =>
  new Promise((resolve, reject) => {
    const askedMs = performance.now()
    request(options, (response) => {
      if (response.statusCode === 200) seen.requests += 1
      else seen.refused += 1
      response.resume().on('end', () => {
        took.push(performance.now() - askedMs)
        resolve()
      })
    })
      .on('error', reject)
      .end()
  })
const work = async () => {
  while (performance.now() - began < ms) await ask()
}
await Promise.all(Array.from({ length: connections }, work))
const p50Ms = took.sort((a, b) => a - b)[Math.floor(took.length / 2)]
process.stdout.write(JSON.stringify({ ...seen, ms: performance.now() - began, p50Ms }), () =>
  process.exit(0),
)
