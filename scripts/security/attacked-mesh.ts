/**
 * A gateway as operators run it, under attack by an agent of acme. Agents of globex are the canary: their calls, their requests
 * and a stranger's /health go on all the while, and the audit log tells each of them once.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { closeServer, listenOnFreePort } from '../../test/support/http-origin.ts'
import { type Mesh, type MeshOptions, startMesh } from '../../test/support/mesh.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import type { Report } from './campaign.ts'
import { type AuditLine, readAudit, toldTimes } from './read-audit.ts'

export interface AttackedMesh extends AsyncDisposable {
  readonly mesh: Mesh
  /** host:port that acme and globex may reach over HTTP. */
  readonly destination: string
  /** Requests of acme that reached the destination: path and headers, as they came. */
  readonly reached: readonly string[]
  /** Resolves when the canary has sung once more. @throws when it ever failed, or the process did */
  unharmed(): Promise<void>
  /** Ends all, and then proves the audit log. Answers its lines. */
  end(): Promise<readonly AuditLine[]>
}

/** What only a hang takes, and no busy machine. */
const HANG_MS = 10_000
/** Far more than it takes (about 150 MB), and far less than a leak comes to. */
const MAX_RESIDENT_MB = 600
const PAUSE_MS = 10
const CANARY_PATH = '/canary'

export async function openAttackedMesh(
  report: Report,
  options: Pick<MeshOptions, 'config' | 'prepare'> = {},
): Promise<AttackedMesh> {
  const reached: string[] = []
  const origin = createServer((request, response) => {
    if (request.url !== CANARY_PATH) reached.push([request.url, ...request.rawHeaders].join('\n'))
    request.resume().on('end', () => response.end('reached'))
  })
  const port = await listenOnFreePort(origin)
  const destination = `api.test:${port}`
  const tenant = {
    delegation: { allow: [{ from: '*', to: '*' }] },
    egress: { allow: [destination] },
  }
  const mesh = await startMesh({
    policy: {
      _global: { egress: { ports: [port], allowCidrs: ['127.0.0.0/8'] } },
      acme: tenant,
      globex: tenant,
    },
    ...options,
  }).catch(async (error: unknown) => {
    await closeServer(origin)
    throw error
  })
  const close = async () => {
    await mesh.close()
    await closeServer(origin)
  }
  try {
    mesh.addHost('api.test', ['127.0.0.1'])
    const canary = await startCanary(mesh, destination, report)
    // the lag of the start is in the first scrape
    await metricsOf(mesh)
    const { pid } = mesh.gateway
    return {
      mesh,
      destination,
      reached,
      async unharmed() {
        const { calls } = canary.sung
        await waitFor('another call of the canary', () => canary.sung.calls > calls + 1, {
          withinMs: HANG_MS * 2,
        })
        assert.deepEqual(canary.errors, [])
        assert.equal(mesh.gateway.pid, pid)
        process.kill(pid, 0)
        await measure(mesh, report)
      },
      async end() {
        await canary.stop()
        assert.deepEqual(canary.errors, [])
        assert.deepEqual(await mesh.gateway.stop(), { code: 0, signal: null })
        const lines = await readAudit(mesh.gateway.auditFile)
        const { calls, requests } = canary.sung
        const of = (event: string, what: (line: AuditLine) => boolean) =>
          toldTimes(lines, (line) => line.tenant === 'globex' && line.event === event && what(line))
        const delegated = of('delegation', (line) => line.method.endsWith('/Delegate'))
        assert.equal(delegated, calls, 'records of the canary’s calls')
        const requested = of('egress', (line) => line.path === CANARY_PATH)
        assert.equal(requested, requests, 'records of the canary’s requests')
        await close()
        return lines
      },
      /** Ends what is left, also after a failure. */
      async [Symbol.asyncDispose]() {
        await canary.stop()
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function startCanary(mesh: Mesh, destination: string, report: Report) {
  await mesh.serve('globex', 'worker', { skills: { echo: (task) => task.text() } })
  const planner = await mesh.agent('globex', 'planner')
  const errors: string[] = []
  const sung = { calls: 0, requests: 0 }
  const singing = new AbortController()
  const again = async (sing: () => Promise<void>) => {
    while (!singing.signal.aborted) {
      await sing().catch((error: unknown) => errors.push(String(error)))
      await sleep(PAUSE_MS)
    }
  }
  const song = Promise.all([
    again(async () => {
      sung.calls += 1
      const result = await planner.delegate('worker', { skill: 'echo', input: 'hello' }).result()
      assert.equal(result.text(), 'hello')
    }),
    again(async () => {
      sung.requests += 1
      const answer = await planner.fetch(`http://${destination}${CANARY_PATH}`)
      assert.equal(await answer.text(), 'reached')
    }),
    again(async () => {
      const began = performance.now()
      const health = `http://${mesh.gateway.egress}/health`
      const answer = await fetch(health, {
        headers: { connection: 'close' },
        signal: AbortSignal.timeout(HANG_MS),
      })
      assert.equal(answer.status, 200)
      report.largest('longest /health of a stranger', performance.now() - began, 'ms')
    }),
  ])
  await waitFor('the canary to begin', () => sung.calls > 1 && sung.requests > 1)
  return {
    errors,
    sung,
    async stop() {
      singing.abort()
      await song
    },
  }
}

/** Figures of the process; of them, memory has a bound. */
async function measure(mesh: Mesh, report: Report): Promise<void> {
  const text = await metricsOf(mesh)
  const metric = (name: string) => {
    const [, value] = new RegExp(`^${name} (\\S+)$`, 'm').exec(text) ?? []
    assert.ok(value !== undefined, `there is no metric ${name}`)
    return Number(value)
  }
  const lag = metric('clawmesh_event_loop_lag_seconds\\{quantile="1"\\}')
  report.largest('longest stop of the event loop', lag * 1_000, 'ms')
  const resident = metric('process_resident_memory_bytes') / 2 ** 20
  report.largest('resident memory', resident, 'MiB')
  assert.ok(resident < MAX_RESIDENT_MB, `${resident} MiB are resident`)
}

async function metricsOf(mesh: Mesh): Promise<string> {
  const answer = await fetch(`http://${mesh.gateway.admin}/metrics`, {
    signal: AbortSignal.timeout(HANG_MS),
  })
  return await answer.text()
}

/** Reads a file that a gateway wrote into the directory of its mesh. */
export async function readText(mesh: Mesh, ...path: readonly string[]): Promise<string> {
  return await readFile([mesh.dir, ...path].join('/'), 'utf8')
}
