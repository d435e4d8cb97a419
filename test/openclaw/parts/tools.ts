/** Tools as OpenClaw offers and calls them. */
import assert from 'node:assert/strict'
import { waitFor } from '../../support/wait-for.ts'
import { call, delegate } from '../prompts.ts'
import type { World } from '../world.ts'

export function toolsInOpenClaw(world: () => World): void {
  it('arguments that come past the schema are checked, and a tool alone works as in a turn', async () => {
    const { a } = world()
    const invoke = async (args: unknown) => JSON.stringify(await a.invoke('mesh_delegate', args))
    assert.match(await invoke({ peer: 5, extra: 1 }), /TOOL_ARGUMENTS/)
    assert.match(await invoke({ peer: 'oc-b', skill: 'ask', input: 'alone' }), /SAID: alone/)
  })

  it('what is not declared goes nowhere, and is refused by the hook', async () => {
    const { a, mesh } = world()
    const from = (await mesh.audit()).length
    assert.match(
      await a.turn(call('mesh_delegate', { peer: 'ceo', skill: 'x' })),
      /CLAWMESH_PEER_NOT_DECLARED/,
    )
    assert.match(
      await a.turn(call('mesh_fetch', { url: 'https://evil.example/' })),
      /CLAWMESH_HOST_NOT_DECLARED/,
    )
    assert.match(
      await a.turn(call('web_fetch', { url: 'https://evil.example/' })),
      /CLAWMESH_HOST_NOT_DECLARED/,
    )
    const lines = (await mesh.audit()).slice(from)
    assert.ok(!lines.some((line) => /ceo|evil/.test(JSON.stringify(line))))
  })

  it('one message names what policy lacks of all that is declared', async () => {
    const { a } = world()
    const line = await waitFor(
      'the message',
      () => /.*policy does not allow all.*/.exec(a.log())?.[0],
    )
    assert.match(line, /acme\/oc-missing/)
    assert.doesNotMatch(line, /oc-b/)
  })

  it('with Tool Search on, the model still sees and calls them', async () => {
    const { a, model } = world()
    const offered = async (wanted: boolean) => {
      await a.edit((config) => withTools(config, { toolSearch: wanted }))
      return waitFor(
        `a turn with Tool Search ${wanted ? 'on' : 'off'}`,
        async () => {
          await a.turn('look')
          const { tools = [] } = model.asked.at(-1) ?? {}
          return tools.some((tool) => /tool_search/.test(tool)) === wanted && tools
        },
        { withinMs: 120_000, everyMs: 1_000 },
      )
    }
    try {
      const tools = await offered(true)
      assert.ok(tools.includes('mesh_delegate') && !tools.includes('web_fetch'), tools.join())
      assert.match(await a.turn(delegate('found')), /SAID: found/)
    } finally {
      await offered(false)
    }
  })
}

function withTools(config: Record<string, unknown>, more: object): Record<string, unknown> {
  return { ...config, tools: { ...Object(config.tools), ...more } }
}
