/** The health port says what a probe needs, and nothing else. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { silentLog } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { createHealthPort } from '../../../mesh-gateway/src/admin/health-port.ts'
import type { Missing } from '../../../mesh-gateway/src/admin/status-page.ts'
import type { Port } from '../../../mesh-gateway/src/net/port.ts'

describe('the health port', () => {
  let port: Port
  let missing: Missing[]
  beforeEach(async () => {
    missing = []
    port = await createHealthPort({
      listen: { host: '127.0.0.1', port: 0 },
      missing: () => missing,
      connectionRefused: () => {},
      log: silentLog,
    })
  })
  afterEach(() => port.close())

  async function ask(path: string, init: RequestInit = {}) {
    const answer = await fetch(`http://127.0.0.1:${port.address.port}${path}`, {
      ...init,
      headers: { connection: 'close', ...init.headers },
    })
    return { status: answer.status, body: await answer.text() }
  }

  it('answers /health always, and /ready as the gateway is', async () => {
    assert.deepEqual(await ask('/health'), { status: 200, body: '{"status":"up"}\n' })
    assert.deepEqual(await ask('/ready'), { status: 200, body: '{"status":"ready"}\n' })
    missing = [{ what: 'policy', reason: 'acme.json is torn: /etc/mesh/policy' }]
    assert.equal((await ask('/health')).status, 200)
    // why is for the admin port: everybody may ask here
    assert.deepEqual(await ask('/ready?why'), { status: 503, body: '{"status":"not ready"}\n' })
  })

  it('has nothing else, and takes nothing', async () => {
    for (const path of ['/', '/metrics', '/ready/', '/healthz', '//health'])
      assert.deepEqual(await ask(path), { status: 404, body: 'there is /health, /ready\n' })
    assert.equal((await ask('/health', { method: 'POST', body: 'x' })).status, 405)
    assert.deepEqual(await ask('/health', { method: 'HEAD' }), { status: 200, body: '' })
  })

  it('answers by any name, as a load balancer may ask', async () => {
    const { port: number } = port.address
    const status = await new Promise((resolve, reject) => {
      const asked = request(
        { port: number, path: '/ready', headers: { host: 'lb.example' }, agent: false },
        (response) => {
          response.resume()
          resolve(response.statusCode)
        },
      )
      asked.on('error', reject)
      asked.end()
    })
    assert.equal(status, 200)
  })

  it('says which setting is wrong when its port is taken', async () => {
    const taken = createHealthPort({
      listen: port.address,
      missing: () => [],
      connectionRefused: () => {},
      log: silentLog,
    })
    await assert.rejects(
      taken,
      (error) => error instanceof MeshError && /health\.listen/.test(error.hint),
    )
  })
})
