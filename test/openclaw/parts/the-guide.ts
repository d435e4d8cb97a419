/** Sections 3 and 4 of the guide "Your first delegated skill". Section 2 is how the plugin of A was installed. */
import assert from 'node:assert/strict'
import { freePort } from '../../../scripts/dev/free-ports.ts'
import { waitFor } from '../../support/wait-for.ts'
import { configurationsOfGuide } from '../guide.ts'
import type { OpenClaw } from '../openclaw-gateway.ts'
import { call } from '../prompts.ts'
import type { World } from '../world.ts'

export function theGuide(world: () => World): void {
  it('its configurations, with addresses of this machine, make the planner ask the researcher', async () => {
    const { a, b, mesh } = world()
    const [planner = {}, researcher = {}, ...more] = await configurationsOfGuide('## 3.')
    assert.deepEqual(more, [])
    const port = await freePort()
    mesh.announce('acme', 'researcher', port)
    const placed = async (name: string, config: object) => ({
      ...config,
      gateway: mesh.gateway.delegation,
      identity: await mesh.identity('acme', name),
    })
    const ofPlanner = await placed('planner', planner)
    const ofResearcher = {
      ...(await placed('researcher', researcher)),
      listen: String(Object(researcher).listen).replace(/^0\.0\.0\.0:\d+$/, `127.0.0.1:${port}`),
    }
    const from = (await mesh.audit()).length
    const question = 'what is the capital of Peru?'
    const asks = call('mesh_delegate', { peer: 'researcher', skill: 'ask', input: question })
    await waitFor(
      'the answer of the researcher in the turn of the planner',
      async () => {
        // OpenClaw applies no edit while a turn is under way
        await Promise.all([write(a, ofPlanner), write(b, ofResearcher)])
        await new Promise((resolve) => setTimeout(resolve, 15_000))
        return (await a.turn(asks)).includes(`SAID: ${question}`)
      },
      { withinMs: 300_000, everyMs: 1_000 },
    )
    assert.match(b.log(), new RegExp(`clawmesh: serves ask on port ${port}`))
    const lines = (await mesh.audit())
      .slice(from)
      .filter(
        ({ agent_id, grpc_method, reason }) =>
          agent_id === 'planner' && /\/Delegate$/.test(String(grpc_method)) && reason === null,
      )
    assert.equal(lines.length, 1)
  })
}

/** The relay of A stays: it is for another test to end it. */
function write(openclaw: OpenClaw, config: object): Promise<void> {
  return openclaw.edit((whole) => {
    const plugins = Object(whole.plugins)
    const entry = Object(plugins.entries?.clawmesh)
    const { relay, egress } = Object(entry.config)
    const kept = relay === undefined ? {} : { relay, egress }
    const clawmesh = { ...entry, config: { ...config, ...kept } }
    return { ...whole, plugins: { ...plugins, entries: { ...plugins.entries, clawmesh } } }
  })
}
