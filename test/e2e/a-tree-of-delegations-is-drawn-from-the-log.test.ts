/** What several agents of one mesh delegate to each other is told apart afterwards, though the same agents do it twice. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { makeWorkplace, type Workplace } from '../mesh-gateway/cli/gateway-command.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

describe('a tree of delegations', function () {
  this.timeout(120_000)
  let mesh: Mesh
  let place: Workplace

  before(async () => {
    place = await makeWorkplace()
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: '*', to: '*' }] } } },
    })
    await mesh.serve('acme', 'b', { skills: { check: (task) => task.text() } })
    await mesh.serve('acme', 'writer', {
      skills: {
        write: async (task, ctx) => {
          const { code } = await ctx
            .delegate('planner', { skill: 'anything' })
            .result()
            .then(
              () => assert.fail('a loop was let through'),
              (error: unknown) => (error instanceof MeshError ? error : assert.fail(`${error}`)),
            )
          const checked = await ctx.delegate('b', { skill: 'check', input: code }).result()
          return `${task.text()} ${checked.text()}`
        },
      },
    })
    await mesh.serve('acme', 'researcher', {
      skills: {
        read: async (_task, ctx) => {
          for (const input of ['one', 'two'])
            await ctx.delegate('writer', { skill: 'write', input }).result()
          return 'done'
        },
      },
    })
  })
  after(async () => {
    await mesh?.close()
    await place?.close()
  })

  it('is drawn by the command from the audit log, with each refused loop under its caller', async () => {
    const planner = await mesh.agent('acme', 'planner')
    const delegation = planner.delegate('researcher', { skill: 'read' })
    await delegation.result()
    await waitFor('seven records', async () => {
      const told = (await mesh.audit()).filter(({ delegation_id: id }) => id !== null)
      return told.length >= 7 ? told : undefined
    })
    const args = ['trees', delegation.id, '--config', mesh.gateway.configFile]
    const { code, stdout, stderr } = await place.run(...args)
    assert.equal(code, 0, stderr)
    const [head, ...lines] = stdout.trimEnd().split('\n')
    assert.match(head ?? '', /^tree [0-9a-f-]{36} .* s {2}7 delegations, 2 refused$/)
    const refused = 'refused MESH_CHAIN_LOOP_DETECTED'
    assert.deepEqual(
      lines.map((line) => line.replace(/ +[+-].*$/, '').replaceAll(/ {3,}(?=[a-z])/g, '  ')),
      [
        'acme/planner',
        '└─ acme/researcher  ended',
        '   ├─ acme/writer  ended',
        `   │  ├─ acme/planner  ${refused}`,
        '   │  └─ acme/b  ended',
        '   └─ acme/writer  ended',
        `      ├─ acme/planner  ${refused}`,
        '      └─ acme/b  ended',
      ],
    )
  })
})
