/**
 * An artifact goes from callee over gateway to caller, three processes, none of which ever holds it. CLAWMESH_ARTIFACT_MIB
 * says how large; 1024 is what the promise is for, the default keeps CI quick and shows the same.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RunningProcess, startProcess } from '../../scripts/dev/child-process.ts'
import { freePort } from '../../scripts/dev/free-ports.ts'
import type { ArtifactWorkerOptions } from '../support/artifact-worker.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const WORKER = new URL('../support/artifact-worker.ts', import.meta.url)
const MIB = 1024 * 1024
const SIZE = Number(process.env.CLAWMESH_ARTIFACT_MIB ?? 128)
// far less than the artifact, far more than buffers and young garbage take
const BOUND = 100

describe('a large artifact streams in bounded memory', () => {
  let mesh: Mesh
  const workers: RunningProcess[] = []
  before(async function () {
    this.timeout(60_000)
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'worker' }] } } },
    })
  })
  after(async () => {
    for (const worker of workers) await worker.stop(2_000)
    await mesh.close()
  })

  it(`of callee, gateway and caller (${SIZE} MiB)`, async function () {
    this.timeout(300_000)
    const port = await freePort()
    mesh.announce('acme', 'worker', port)
    const start = async (role: 'callee' | 'caller') => {
      const options: ArtifactWorkerOptions = {
        ...{ role, gateway: mesh.gateway.delegation, bytes: SIZE * MIB },
        identity: await mesh.identity('acme', role === 'callee' ? 'worker' : 'planner'),
        listen: `127.0.0.1:${port}`,
        store: join(mesh.dir, 'tasks.db'),
      }
      const said: unknown[] = []
      const worker = startProcess({
        ...{ name: role, file: WORKER, args: [JSON.stringify(options)], foreign: true },
        onMessage: (message) => said.push(message),
      })
      workers.push(worker)
      return waitFor(`the ${role}`, () => said[0], { withinMs: 240_000 })
    }
    await start('callee')
    const resident = async () => {
      const status = await readFile(`/proc/${mesh.gateway.pid}/status`, 'utf8')
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024
    }
    const before = await resident()
    let most = before
    const watching = setInterval(() => {
      void resident().then((now) => {
        most = Math.max(most, now)
      })
    }, 50)
    const began = performance.now()
    const told = await start('caller').finally(() => clearInterval(watching))
    const seconds = (performance.now() - began) / 1000
    const grown = {
      callee: Math.round(Number(factOf(told, 'callee', 'grown')) / MIB),
      gateway: Math.round((most - before) / MIB),
      caller: Math.round(Number(factOf(told, 'caller', 'grown')) / MIB),
    }
    if (process.env.CLAWMESH_ARTIFACT_MIB !== undefined)
      process.stderr.write(
        `${SIZE} MiB in ${seconds.toFixed(1)} s, grown by ${JSON.stringify(grown)} MiB\n`,
      )
    assert.equal(factOf(told, 'caller', 'read'), SIZE * MIB)
    assert.match(String(factOf(told, 'caller', 'sha256')), /^[0-9a-f]{64}$/)
    assert.equal(factOf(told, 'caller', 'sha256'), factOf(told, 'callee', 'sha256'))
    for (const [who, mib] of Object.entries(grown))
      assert.ok(mib < BOUND, `${who} grew by ${mib} MiB`)
  })
})

function factOf(told: unknown, who: string, what: string): unknown {
  return fieldOf(fieldOf(told, who), what)
}

function fieldOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return assert.fail('no facts came')
  return Object.entries(value).find(([name]) => name === key)?.[1]
}
