// Runs inside of the agent: one request through the gateway. Prints { status, body }.
import { readFileSync } from 'node:fs'
import { request } from 'node:https'

const { url, token } = JSON.parse(process.argv[1])
const asked = request(
  {
    host: 'gateway.mesh.internal',
    port: 8080,
    servername: 'gateway.mesh.internal',
    path: url,
    ca: readFileSync('/etc/clawmesh/ca.crt'),
    headers: {
      host: new URL(url).host,
      ...(token === '' ? {} : { 'proxy-authorization': `Bearer ${token}` }),
    },
  },
  (response) => {
    let body = ''
    response.on('data', (chunk) => {
      body += chunk
    })
    response.on('end', () =>
      process.stdout.write(JSON.stringify({ status: response.statusCode, body })),
    )
  },
)
asked.on('error', ({ code }) => process.stdout.write(JSON.stringify({ status: 0, body: code })))
asked.end()
