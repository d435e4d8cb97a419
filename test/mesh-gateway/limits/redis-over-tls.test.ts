import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:tls'
import { silentLog } from '@clawmesh/agent-sdk'
import { Secret } from '@clawmesh/proto'
import { openRedisLink } from '../../../mesh-gateway/src/limits/redis/redis-link.ts'
import { mint } from '../../agent-sdk/tls/mint.ts'
import { withChecksOff } from '../../support/tls-checks-off.ts'

const PASSWORD = 'a password for tests'

describe('a Redis behind TLS', () => {
  let server: Server
  let heard = ''

  const listen = async (pair: ReturnType<typeof mint>): Promise<string> => {
    heard = ''
    server = createServer({ cert: pair.pem, key: pair.keyPem }, (socket) => {
      socket.on('error', () => {})
      socket.on('data', (bytes) => {
        heard += bytes.toString('latin1')
        socket.write('+OK\r\n')
      })
    })
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return `rediss://localhost:${(server.address() as AddressInfo).port}`
  }
  const ask = async (url: string, ca: string | null) => {
    const link = await openRedisLink({
      ...{ url, ca, username: null, password: new Secret(PASSWORD) },
      ...{ log: silentLog, onState: () => {} },
    })
    await link.close()
  }
  afterEach(async () => {
    server.close()
    await once(server, 'close')
  })

  const root = mint({ name: 'root', pathLength: null })
  const leaf = (issuer: ReturnType<typeof mint>) =>
    mint({ name: 'redis', issuer, dnsNames: ['localhost'] })

  it('is given the password when its certificate is good', async () => {
    const url = await listen(leaf(root))
    await ask(url, root.pem)
    assert.ok(heard.includes(PASSWORD))
  })

  it('hears nothing when it is an impostor, whatever the environment says of checks', async () => {
    const url = await listen(leaf(mint({ name: 'impostor', pathLength: null })))
    for (const ca of [root.pem, null]) await withChecksOff(() => ask(url, ca))
    assert.equal(heard, '')
  })
})
