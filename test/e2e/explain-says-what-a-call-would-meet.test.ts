import assert from 'node:assert/strict'
import type { Agent } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { runHere } from '../mesh-gateway/cli/run-here.ts'
import { describeClosing } from '../support/closes-everything.ts'
import { grpcurl } from '../support/grpcurl.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const EXPLAIN = 'clawmesh.mesh.v1.MeshService/Explain'
const GATEWAY = 'gateway.mesh.internal'

describeClosing('explain says what a call would meet', () => {
  let mesh: Mesh
  let planner: Agent

  before(async function () {
    this.timeout(120_000)
    mesh = await startMesh({
      policy: {
        acme: {
          delegation: {
            allow: [
              { from: 'planner', to: 'researcher' },
              { from: 'planner', to: 'globex/translator' },
            ],
            deny: [{ from: 'planner', to: 'vault' }],
          },
          egress: { allow: ['api.test', { host: 'reads.test', methods: ['GET'] }] },
        },
        globex: { delegation: { accept: [{ from: 'acme/writer', to: 'translator' }] } },
      },
    })
    await mesh.serve('acme', 'researcher', { skills: { echo: (task) => task.text() } })
    planner = await mesh.agent('acme', 'planner')
  })
  after(() => mesh?.close())

  const command = async (to: string, ...more: string[]) => {
    const args = ['explain', '--config', mesh.gateway.configFile, '--from', 'acme/planner']
    return runHere(mesh.dir, [...args, '--to', to, ...more])
  }

  interface Case {
    readonly to: string
    readonly code: string | null
    readonly exit: number
    /** The tenant whose policy decides, when it is not the caller's: the operator is told its file, the caller is not. */
    readonly decidedBy?: string
  }
  const cases: Record<string, Case> = {
    allowed: { to: 'acme/researcher', code: null, exit: 0 },
    'denied by a rule': { to: 'acme/vault', code: 'MESH_POLICY_DENIED', exit: 1 },
    'not allowed': { to: 'acme/stranger', code: 'MESH_POLICY_NOT_ALLOWED', exit: 1 },
    'not accepted': {
      ...{ to: 'globex/translator', code: 'MESH_POLICY_NOT_ACCEPTED', exit: 1 },
      decidedBy: 'globex',
    },
  }
  for (const [name, { to, code, exit, decidedBy }] of Object.entries(cases))
    it(`${name}: the command, the SDK, grpcurl and the call itself agree`, async () => {
      const [typed, asked, curled] = await Promise.all([
        command(to, '--json'),
        planner.explain(to),
        grpcurl({
          identity: await mesh.identity('acme', 'planner'),
          args: [
            ...['-d', JSON.stringify({ to }), '-authority', GATEWAY],
            ...[mesh.gateway.delegation, EXPLAIN],
          ],
        }),
      ])
      assert.equal(typed.code, exit, typed.stderr)
      assert.equal(curled.code, 0, curled.stderr)
      const onPaper = JSON.parse(typed.stdout)
      const { file, generation, someRequests, ...rest } = asked
      assert.equal(someRequests, false)
      if (decidedBy !== undefined) assert.equal(file, null)
      const inFile = decidedBy === undefined ? file : `${decidedBy}.json`
      assert.equal(onPaper.file, inFile === null ? null : `${mesh.dir}/policy/${inFile}`)
      assert.ok(generation >= 1)
      for (const [key, value] of Object.entries(rest)) assert.equal(onPaper[key], value, key)
      const shown = JSON.parse(curled.stdout)
      assert.equal(shown.rule ?? null, asked.rule)
      assert.equal(shown.code ?? null, asked.code)
      assert.equal(asked.code, code)

      const refusal = await planner
        .delegate(to, { skill: 'echo', input: 'hello' })
        .result()
        .then(() => null)
        .catch((error: unknown) => error)
      if (code === null) return assert.equal(refusal, null)
      assert.ok(refusal instanceof MeshError, String(refusal))
      assert.equal(refusal.code, code)
      assert.equal(refusal.hint, asked.hint)
    })

  it('the command prints the decision, the rule and its file', async () => {
    const { stdout } = await command('acme/vault', '--method', 'pkg.Svc/M')
    assert.match(stdout, /^deny +acme\/planner to acme\/vault \(pkg\.Svc\/M\)$/m)
    assert.match(stdout, /^ +rule +acme\.json#\/delegation\/deny\/0$/m)
    assert.ok(stdout.includes(`${mesh.dir}/policy/acme.json`), stdout)
  })

  it('an agent is not told of calls of another tenant', async () => {
    const { code, stderr } = await grpcurl({
      identity: await mesh.identity('acme', 'planner'),
      args: [
        ...['-d', JSON.stringify({ from: 'globex/translator', to: 'acme/planner' })],
        ...['-authority', GATEWAY, mesh.gateway.delegation, EXPLAIN],
      ],
    })
    assert.notEqual(code, 0)
    assert.match(stderr, /PermissionDenied/)
    assert.match(stderr, /MESH_EXPLAIN_FOREIGN/)
  })

  it('an agent is told of hosts, also of those that are allowed for certain methods only', async () => {
    const told = async (host: string) => {
      const { action, someRequests } = await planner.explainHost(host)
      return [action, someRequests]
    }
    assert.deepEqual(await told('api.test'), ['allow', false])
    assert.deepEqual(await told('reads.test'), ['deny', true])
    assert.deepEqual(await told('other.test'), ['deny', false])
  })

  it('what the policy says now is what is explained', async () => {
    const before = await planner.explain('stranger')
    await mesh.setPolicy({ acme: { delegation: { allow: [{ from: 'planner', to: '*' }] } } })
    const after = await waitFor('the new policy', async () => {
      const said = await planner.explain('stranger')
      return said.action === 'allow' && said
    })
    assert.ok(after.generation > before.generation)
    await assert.rejects(planner.explain('no such name'), TypeError)
  })
})
