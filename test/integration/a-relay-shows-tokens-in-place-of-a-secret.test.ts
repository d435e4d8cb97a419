/**
 * `agent.egressRelay` before a gateway as operators run it: by plain HTTP and by TLS, while tokens change, certificates are renewed,
 * and the gateway is restarted.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import type { Agent, EgressRelay } from '@clawmesh/agent-sdk'
import { refusalOf, sendRaw } from '../mesh-gateway/egress/fixture.ts'
import { connectTo, get } from '../mesh-gateway/egress/setup.ts'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const TTL_MS = 1_000

for (const secure of [false, true])
  describe(`a relay shows tokens in place of a secret, by ${secure ? 'TLS' : 'plain HTTP'}`, function () {
    this.timeout(180_000)
    let mesh: Mesh
    let origin: Server
    let port: number
    let agent: Agent
    let relay: EgressRelay
    let credential: string

    before(async () => {
      origin = createServer((_, response) => response.end('fine'))
      port = await listenOnFreePort(origin)
      mesh = await startMesh({
        policy: {
          _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port, 443] } },
          acme: { egress: { allow: [`api.test:${port}`] } },
        },
        config: {
          tokens: { ttlMs: TTL_MS },
          ...(secure ? { egress: { tls: { dir: 'gateway' } } } : {}),
        },
      })
      mesh.addHost('api.test', ['127.0.0.1'])
      const egress = `${secure ? 'https' : 'http'}://${mesh.gateway.egress}`
      agent = await mesh.agent('acme', 'bot-01', { egress })
      const secretFile = join(mesh.dir, 'relay.secret')
      relay = await agent.egressRelay({ listen: '127.0.0.1:0', secretFile })
      const secret = (await readFile(secretFile, 'latin1')).trim()
      credential = `Proxy-Authorization: Basic ${Buffer.from(`openclaw:${secret}`).toString('base64')}\r\n`
    })
    after(async () => {
      await mesh.close()
      await closeServer(origin)
    })

    const ask = () => sendRaw(relay.address.port, get(port, credential))

    /** Requests without a pause until it is over; all answers that are not 200. */
    async function trafficUntil(over: () => boolean | Promise<boolean>): Promise<string[]> {
      const failed: string[] = []
      while (!(await over())) {
        const answers = await Promise.all([ask(), ask(), ask()])
        failed.push(...answers.filter((answer) => !answer.startsWith('HTTP/1.1 200 ')))
      }
      return failed
    }
    const tokens = async () =>
      new Set(
        (await mesh.audit()).flatMap(({ event, token_jti }) =>
          event === 'egress' ? [token_jti] : [],
        ),
      )

    it('no request fails while one token follows another', async () => {
      const failed = await trafficUntil(async () => (await tokens()).size > 4)
      assert.deepEqual(failed, [])
    })

    it('no request fails while certificates are renewed', async () => {
      let renewals = 0
      let renewing = Promise.resolve()
      const before = (await tokens()).size
      const failed = await trafficUntil(async () => {
        renewals += 1
        if (renewals % 20 === 0)
          renewing = renewing.then(() => mesh.renew({ tenant: 'acme', agent: 'bot-01' }))
        return renewals > 60 && (await tokens()).size > before + 2
      })
      await renewing
      assert.deepEqual(failed, [])
    })

    it('the gateway refuses in its own words, and its record names the agent', async () => {
      const refused = await sendRaw(relay.address.port, connectTo(443, credential, 'other.test'))
      assert.match(refused, /^HTTP\/1\.1 403 MESH_[A-Z_]+ .*other\.test/)
      const { request_id } = refusalOf(refused)
      const line = await mesh.auditLine(
        'of the refusal',
        (record) => record.request_id === request_id,
      )
      assert.equal(line.agent_id, 'bot-01')
    })

    it('a gateway that was stopped is 502 with a code, and served again when it is back', async () => {
      await mesh.gateway.stop()
      const away = await ask()
      assert.match(away, /^HTTP\/1\.1 502 /)
      assert.equal(refusalOf(away).code, 'MESH_GATEWAY_UNREACHABLE')
      await mesh.gateway.start()
      await waitFor('an answer', async () => (await ask()).startsWith('HTTP/1.1 200 '), {
        withinMs: 60_000,
      })
    })

    it('ends with its agent', async () => {
      await agent.close()
      await assert.rejects(ask(), { code: 'ECONNREFUSED' })
    })
  })
