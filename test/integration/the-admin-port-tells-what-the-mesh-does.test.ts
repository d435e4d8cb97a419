/** The JSON endpoints of the admin port, of a real gateway with agents at work: of one process, and of two workers. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runHere } from '../mesh-gateway/cli/run-here.ts'
import { describeClosing } from '../support/closes-everything.ts'
import { waitFor } from '../support/wait-for.ts'
import { type Body, startWatchedMesh, type WatchedMesh } from '../support/watched-mesh.ts'

interface Fields {
  readonly [name: string]: unknown
}

for (const workers of [1, 2])
  describeClosing(`the admin port of ${workers} processes tells what the mesh does`, function () {
    this.timeout(120_000)
    let watched: WatchedMesh
    before(async () => {
      watched = await startWatchedMesh(workers === 1 ? {} : { config: { workers } })
    })
    after(() => watched?.close())

    const list = async (path: string, name: keyof Body): Promise<readonly Fields[]> => {
      const { status, body } = await watched.get(path)
      assert.equal(status, 200, JSON.stringify(body))
      return body[name]
    }

    it('trees of delegations, from the first call on, and how they end', async () => {
      const task = await watched.begin()
      const tree = await waitFor('the running tree', async () => {
        const { status, body } = await watched.get(`trees/${task.rootId}`)
        const shown: { nodes: readonly Fields[]; origin: string } = body
        return status === 200 && shown.nodes.length === 2 && shown
      })
      assert.equal(tree.origin, 'acme/planner')
      assert.deepEqual(
        tree.nodes.map(({ callee, depth, state }) => [callee, depth, state]),
        [
          ['acme/researcher', 0, 'running'],
          ['acme/writer', 1, 'running'],
        ],
      )
      for (const { delegation_id: id } of tree.nodes) {
        const { body } = await watched.get(`trees/${id}`)
        assert.equal(body.root_id, task.rootId, 'found by any delegation in it')
      }
      const open = await list('open', 'open')
      assert.deepEqual(
        open
          .filter(({ root_id: root }) => root === task.rootId)
          .map(({ callee }) => callee)
          .sort(),
        ['researcher', 'writer'].map((name) => `spiffe://mesh.internal/tenant/acme/agent/${name}`),
      )
      const edge = (await list('mesh', 'edges')).find(({ to }) => to === 'acme/writer')
      assert.equal(edge?.open, 1)
      await task.end()
      await waitFor('the end of the tree', async () => {
        const trees = await list('trees', 'trees')
        const [first] = trees.filter(({ root_id: root }) => root === task.rootId)
        return JSON.stringify(first?.states) === '{"ended":2}'
      })
    })

    it('the same to a terminal: `trees --live` and `top`, with what is refused', async () => {
      const url = `http://${watched.mesh.gateway.admin}`
      const run = (...args: readonly string[]) => runHere(watched.mesh.dir, args)
      const task = await watched.begin()
      await watched.beRefused()
      await waitFor('the drawing', async () => {
        const { code, stdout } = await run('trees', '--live', '--admin', url)
        return (
          code === 0 &&
          /acme\/planner\n└─ acme\/researcher +running.*\n {3}└─ acme\/writer +running/.test(stdout)
        )
      })
      const one = await run('trees', task.rootId, '--live', '--config', 'gateway.json')
      assert.match(one.stdout, new RegExp(`^tree ${task.rootId} .* 2 delegations, 2 running\n`))
      const { trees } = JSON.parse((await run('trees', '--live', '--admin', url, '--json')).stdout)
      assert.ok(trees.some((tree: Fields) => tree.root_id === task.rootId))
      const { code, stdout } = await run('top', '--admin', url, url)
      assert.equal(code, 0)
      assert.equal(stdout.match(/gateway\/gw-1 {2}ready/g)?.length, 2, stdout)
      assert.match(stdout, /RUNNING\nROOT .*\n[0-9a-f-]{36} +acme\/planner .* 2 of 2\n/)
      assert.match(
        stdout,
        /REFUSED\nTIME .*\n(?:.*\n)*[\d:]+ +acme\/planner +gist\.example +MESH_POLICY_DENIED/,
      )
      assert.match(stdout, /ends +(?:certificate|root|signing key) ends in \d+ /)
      const json = JSON.parse((await run('top', '--admin', url, '--json')).stdout)
      assert.ok(json[0].overview.open.calls >= 2, 'and the streams that agents hold to the gateway')
      await task.end()
    })

    it('decisions, with what they mean, by agent, host and reason, the newest first', async () => {
      await watched.work()
      // those of earlier tests are remembered too
      const began = new Date().toISOString()
      await watched.beRefused()
      const refused = await waitFor('both refusals', async () => {
        const found = await list('decisions?allowed=false', 'decisions')
        const ofNow = found.filter(({ time }) => String(time) >= began)
        return ofNow.length >= 2 && ofNow
      })
      assert.deepEqual(
        refused.slice(0, 2).map(({ event, reason, rule }) => [event, reason, rule]),
        [
          ['egress', 'MESH_POLICY_DENIED', 'acme.json#/egress/deny/0'],
          ['delegation', 'MESH_POLICY_NOT_ALLOWED', null],
        ],
      )
      const { body } = await watched.get('decisions?reason=not_allowed')
      const { decisions, reasons }: { decisions: Fields[]; reasons: Record<string, Fields> } = body
      assert.deepEqual(Object.keys(reasons), ['MESH_POLICY_NOT_ALLOWED'])
      assert.match(String(reasons.MESH_POLICY_NOT_ALLOWED?.meaning), /no rule/i)
      assert.deepEqual(
        [...new Set(decisions.map(({ reason }) => reason))],
        ['MESH_POLICY_NOT_ALLOWED'],
      )
      const byHost = await list('decisions?host=gist.example', 'decisions')
      assert.deepEqual([...new Set(byHost.map(({ agent_id: agent }) => agent))], ['planner'])
      const byAgent = await list('decisions?agent=acme/researcher&plane=egress', 'decisions')
      assert.ok(byAgent.length > 0)
      assert.deepEqual([...new Set(byAgent.map(({ event }) => event))], ['egress'])
      const [newest, older] = await list('decisions?last=2', 'decisions')
      assert.ok(String(newest?.time) >= String(older?.time))
      assert.equal((await watched.get('decisions?last=0')).status, 400)
      assert.equal((await watched.get('decisions?plane=none')).status, 400)
    })

    it('nothing of the paths of requests, which may hold anything', async () => {
      await watched.work()
      await watched.beRefused()
      for (const path of ['decisions', 'open', 'mesh', 'trees'])
        assert.ok(!JSON.stringify((await watched.get(path)).body).includes('secret-path'), path)
      const replayed = await watched.post('replay', { files: { 'acme.json': { tenant: 'acme' } } })
      assert.ok(JSON.stringify(replayed.body).includes('page.example'))
      assert.ok(!JSON.stringify(replayed.body).includes('secret-path'))
    })

    it('who calls whom, what is refused, and by which rule', async () => {
      await watched.work()
      await watched.beRefused()
      const edges = await waitFor('the refused edges', async () => {
        const found = await list('mesh', 'edges')
        return found.filter(({ refused }) => Number(refused) > 0).length >= 2 && found
      })
      const of = (from: string, to: string) =>
        edges.find((edge) => edge.from === from && edge.to === to) ?? {}
      assert.ok(Number(of('acme/planner', 'acme/researcher').allowed) > 0)
      assert.ok(Number(of('acme/researcher', watched.page).allowed) > 0)
      assert.equal(of('acme/planner', 'acme/writer').reason, 'MESH_POLICY_NOT_ALLOWED')
      assert.equal(of('acme/planner', 'gist.example:443').rule, 'acme.json#/egress/deny/0')
    })

    it('the gateway itself, its peers, limits, certificates and keys', async () => {
      await watched.work()
      const { body: overview } = await watched.get('overview')
      assert.equal(overview.ready, true)
      assert.equal(overview.identity, 'spiffe://mesh.internal/gateway/gw-1')
      const shown: readonly Fields[] = overview.workers
      assert.deepEqual(
        shown.map(({ state }) => state),
        workers === 1 ? [] : ['ready', 'ready'],
      )
      const decisions: { delegation: { allow: number } } = overview.decisions
      assert.ok(decisions.delegation.allow > 0)
      const peers = await list('peers', 'peers')
      const researcher = peers.find(({ name }) => name === 'researcher.acme.mesh.internal')
      const [address]: readonly Fields[] = Object(researcher).addresses
      assert.deepEqual([address?.ip, address?.failures, address?.avoided_ms], ['127.0.0.1', 0, 0])
      assert.ok(Number(address?.sessions) > 0)
      const { body: limits } = await watched.get('limits')
      assert.equal(limits.counted_in, workers === 1 ? 'process' : 'supervisor')
      const uses: readonly Fields[] = limits.uses
      assert.ok(
        uses.some(({ key }) => /acme\/planner/.test(String(key))),
        JSON.stringify(uses),
      )
      const certificates = await list('certificates', 'certificates')
      assert.deepEqual(certificates.map(({ kind, role }) => [kind, role]).slice(0, 3), [
        ['certificate', null],
        ['root', null],
        ['signing key', 'active'],
      ])
      assert.ok(Date.parse(String(certificates[0]?.until)) > Date.now())
    })

    it('why something is refused, with the rule or the line to add', async () => {
      const asked = { plane: 'delegation', from: 'acme/planner', to: 'acme/writer' }
      const { status, body } = await watched.post('explain', asked)
      assert.equal(status, 200)
      assert.equal(body.action, 'deny')
      assert.equal(body.code, 'MESH_POLICY_NOT_ALLOWED')
      assert.match(body.hint, /"from": ?"planner"/)
      const egress = { plane: 'egress', agent: 'acme/planner', to: 'gist.example' }
      const denied = await watched.post('explain', egress)
      assert.equal(denied.body.rule, 'acme.json#/egress/deny/0')
      const wrong = await watched.post('explain', { plane: 'egress', agent: 'x', to: ':' })
      assert.equal(wrong.status, 400)
      assert.match(wrong.body.error, /agent: write tenant\/agent.*to: write a host and port/)
    })

    it('what a candidate policy would change, and its faults, while the policy in force stays', async () => {
      await watched.work()
      await watched.beRefused()
      const delegation = { allow: [{ from: '*', to: '*' }] }
      const files = { 'acme.json': { tenant: 'acme', egress: { allow: [] }, delegation } }
      const { status, body } = await watched.post('replay', { files })
      assert.equal(status, 200, JSON.stringify(body))
      assert.ok(Number(body.newly_refused) > 0, JSON.stringify(body))
      assert.ok(Number(body.newly_allowed) > 0, JSON.stringify(body))
      const faulty = await watched.post('replay', {
        files: { 'acme.json': '{"tenant": "acme",\n "egres": {}}' },
      })
      const [fault]: readonly Fields[] = faulty.body.faults
      assert.deepEqual([fault?.file, fault?.line], ['acme.json', 2])
      assert.equal((await watched.post('replay', { files: {} })).status, 400)
      const { body: after } = await watched.post('explain', {
        ...{ plane: 'delegation', from: 'acme/planner', to: 'acme/writer' },
      })
      assert.equal(after.action, 'deny')
    })

    it('a file that could not be reloaded, with its fault, while the last good one is in force', async () => {
      await writeFile(
        join(watched.mesh.dir, 'policy/acme.json'),
        '{ "tenant": "acme", "egres": {} }',
      )
      const { what, reason } = await waitFor('the fault', async () => {
        const { body } = await watched.get('overview')
        const [fault]: readonly Fields[] = body.degraded
        return body.ready === true && fault
      })
      assert.equal(what, 'policy')
      assert.match(String(reason), /^of acme\.json the last good one stays: .*did you mean egress/)
      const asked = { plane: 'delegation', from: 'acme/planner', to: 'acme/researcher' }
      assert.equal((await watched.post('explain', asked)).body.action, 'allow')
    })
  })
