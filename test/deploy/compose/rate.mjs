// Runs inside of the agent: requests over 16 kept connections, for as long as it is told. Prints { requests, refused, ms }.
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'

const { token, ms } = JSON.parse(process.argv[1])
const agent = new Agent({ keepAlive: true, maxSockets: 16 })
const options = {
  agent,
  host: 'gateway.mesh.internal',
  port: 8080,
  servername: 'gateway.mesh.internal',
  path: 'http://outside.test/',
  ca: readFileSync('/etc/clawmesh/ca.crt'),
  headers: { host: 'outside.test', 'proxy-authorization': `Bearer ${token}` },
}
const began = performance.now()
const seen = { requests: 0, refused: 0 }

const ask = () =>
  new Promise((resolve, reject) => {
    request(options, (response) => {
      if (response.statusCode === 200) seen.requests += 1
      else seen.refused += 1
      response.resume().on('end', resolve)
    })
      .on('error', reject)
      .end()
  })
const work = async () => {
  while (performance.now() - began < ms) await ask()
}
await Promise.all(Array.from({ length: 16 }, work))
process.stdout.write(JSON.stringify({ ...seen, ms: performance.now() - began }), () =>
  process.exit(0),
)
