/** OpenClaw as a client of MCP: the same tools without the plugin, two sessions in one process. */
import assert from 'node:assert/strict'
import { call } from '../prompts.ts'
import type { World } from '../world.ts'

export function mcpDoor(world: () => World): void {
  it('two sessions of OpenClaw delegate through one mesh-agent mcp', async () => {
    const { a, mesh } = world()
    const from = (await mesh.audit()).length
    const asked = { peer: 'oc-b', skill: 'ask', input: 'by MCP' }
    const turns = ['one', 'two'].map((user) => a.turn(call('door__mesh_delegate', asked), { user }))
    for (const said of await Promise.all(turns)) assert.match(said, /SAID: by MCP/)
    const callers = (await mesh.audit())
      .slice(from)
      .filter(({ grpc_method }) => /\/Delegate$/.test(String(grpc_method)))
      .map(({ agent_id }) => agent_id)
    assert.deepEqual(callers, ['door', 'door'])
  })
  it("the gateway's own /mcp takes OpenClaw's client certificate, without any process of ours", async () => {
    const { a, mesh } = world()
    const from = (await mesh.audit()).length
    const asked = { peer: 'oc-b', skill: 'ask', input: 'by the gateway' }
    assert.match(await a.turn(call('gateway__mesh_delegate', asked)), /SAID: by the gateway/)
    const lines = (await mesh.audit()).slice(from)
    const callers = lines
      .filter(({ grpc_method }) => /\/Delegate$/.test(String(grpc_method)))
      .map(({ agent_id }) => agent_id)
    assert.deepEqual(callers, ['oc-a'])
  })
}
