/** What ends what goes wrong: a certificate that is revoked, a model in a loop. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { runHere } from '../../mesh-gateway/cli/run-here.ts'
import { waitFor } from '../../support/wait-for.ts'
import { call, delegate } from '../prompts.ts'
import { LOOP_BUDGET, type World } from '../world.ts'

export function bounds(world: () => World): void {
  it('a model in a loop is stopped by maxDelegationsPerRoot', async () => {
    const { a, workerCalls } = world()
    const before = workerCalls()
    const loop = `LOOP mesh_delegate ${JSON.stringify({ peer: 'worker', skill: 'work', input: 'x' })}`
    assert.match(await a.turn(delegate(loop)), /MESH_CHAIN_BUDGET_EXCEEDED/)
    // the delegation to B is one of them
    assert.equal(workerCalls() - before, LOOP_BUDGET - 1)
  })

  it("the peer's certificate is revoked, and a new one is good again", async () => {
    const { a, mesh } = world()
    const file = join(await mesh.identity('acme', 'oc-b'), 'tls.crt')
    const args = ['revoke', 'certificate', file]
    const { code, stderr } = await runHere(mesh.dir, [...args, '--config', mesh.gateway.configFile])
    assert.equal(code, 0, stderr)
    const said = await waitFor(
      'the refusal',
      async () => {
        const found = await a.turn(delegate('revoked?'))
        return !/SAID: revoked/.test(found) && found
      },
      { withinMs: 60_000 },
    )
    assert.match(said, /MESH_/)
    await mesh.renew({ tenant: 'acme', agent: 'oc-b' })
    await waitFor(
      'the renewed peer',
      async () => /SAID: renewed/.test(await a.turn(delegate('renewed'))),
      {
        withinMs: 120_000,
        everyMs: 1_000,
      },
    )
    assert.match(await a.turn(delegate(call('mesh_fetch', { url: world().page.url }))), /200/)
  })
}
