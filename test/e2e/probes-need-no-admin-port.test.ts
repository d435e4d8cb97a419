/** A gateway with `health.listen` answers probes there, with one process and with several, and keeps its reports to the admin port. */
import assert from 'node:assert/strict'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'

describe('the health port of a gateway', function () {
  this.timeout(120_000)

  for (const workers of [1, 2])
    it(`answers probes and nothing else, with ${workers} ${workers === 1 ? 'process' : 'workers'}`, async () => {
      const port = await freePort()
      const mesh: Mesh = await startMesh({
        policy: { acme: { delegation: { allow: [] } } },
        config: { health: { listen: `127.0.0.1:${port}` }, workers },
      })
      try {
        const ask = async (path: string) => {
          const answer = await fetch(`http://127.0.0.1:${port}${path}`)
          return [answer.status, await answer.text()]
        }
        assert.deepEqual(await ask('/ready'), [200, '{"status":"ready"}\n'])
        assert.deepEqual(await ask('/health'), [200, '{"status":"up"}\n'])
        assert.equal((await ask('/metrics'))[0], 404)
        const metrics = await fetch(`http://${mesh.gateway.admin}/metrics`)
        assert.equal(metrics.status, 200)
        await metrics.text()
        assert.match(
          mesh.gateway.lastLines().join('\n'),
          new RegExp(`health +http://127.0.0.1:${port}`),
        )
      } finally {
        await mesh.close()
      }
    })
})
