/**
 * An agent whose task store is on a disk of four mebibytes, which it fills and empties. To be run with the directory of that disk.
 * Says what its health was and what its callers got, as JSON.
 */
import { appendFileSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { createSqliteTaskStore } from '@clawmesh/agent-sdk'
import { channelCredentials } from '@clawmesh/agent-sdk/calls'
import { openIdentity } from '@clawmesh/agent-sdk/mesh'
import { HEALTH_SERVICE, MeshError } from '@clawmesh/proto'
import { loadProto, serviceOf } from '@clawmesh/proto/wire'
import { Client } from '@grpc/grpc-js'
import { startStandInMesh } from '../agent-sdk/stand-in/mesh.ts'
import { waitFor } from './wait-for.ts'

const [dir = ''] = process.argv.slice(2)
const mesh = await startStandInMesh()
const gateway = await openIdentity({ dir: `${mesh.ca.dir}/gateway-gw`, spiffe: mesh.ca.spiffe })
const store = createSqliteTaskStore({ file: join(dir, 'tasks.db') })
let release = () => {}
const released = new Promise<void>((resolve) => {
  release = resolve
})
const serving = await mesh.serve({
  taskStore: store,
  skills: {
    echo: (task) => task.text(),
    again: {
      resume: true,
      async run(task, ctx) {
        await Promise.race([
          released,
          new Promise((_, no) => ctx.signal.addEventListener('abort', no)),
        ])
        return `${task.text()} ${ctx.resumed ? 'again' : 'at once'}`
      },
    },
    once: async (_, ctx) => {
      await new Promise((_, no) => ctx.signal.addEventListener('abort', no))
    },
  },
})
const { Check: check } = serviceOf(loadProto('grpc/health/v1/health.proto'), HEALTH_SERVICE)
if (check === undefined) throw new Error('no health service')
const client = new Client(
  `127.0.0.1:${serving.address.port}`,
  channelCredentials(gateway, { spiffe: mesh.ca.spiffe, expect: () => {} }),
)
const health = () =>
  new Promise<string>((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = check
    client.makeUnaryRequest(
      ...[path, requestSerialize, (bytes: Buffer) => responseDeserialize(bytes), { service: '' }],
      (error, answer) => (error === null ? resolve(String(Object(answer).status)) : reject(error)),
    )
  })
const codeOf = (error: unknown) => (error instanceof MeshError ? error.code : String(error))

const said: Record<string, unknown> = { before: await health() }
const interrupted = mesh.a.delegate('b', { skill: 'once', detached: true })
const resumed = mesh.a.delegate('b', { skill: 'again', input: 'x', detached: true })
for (const { id } of [interrupted, resumed])
  await waitFor('the task', async () => {
    const task = await mesh.a.get('b', id).catch(() => null)
    return task?.state === 'working'
  })
const filler = join(dir, 'filler')
const fill = () => {
  const { bavail, bsize } = statfsSync(dir)
  appendFileSync(filler, Buffer.alloc(bavail * bsize))
}
fill()
const refused = mesh.a.delegate('b', { skill: 'echo', input: 'y'.repeat(50_000) })
said.whileFull = await waitFor('the health', async () => {
  fill()
  const status = await health()
  return status === 'NOT_SERVING' && status
})
rmSync(filler)
said.after = await waitFor('the health', async () => {
  const status = await health()
  return status === 'SERVING' && status
})
release()
said.refused = await refused.result().then((result) => result.text().length, codeOf)
said.resumed = await resumed.result().then((result) => result.text(), codeOf)
said.interrupted = await interrupted.result().then(() => 'completed', codeOf)
said.new = (await mesh.a.delegate('b', { skill: 'echo', input: 'z' }).result()).text()
client.close()
await gateway.close()
await mesh.close()
store.close()
process.stdout.write(`${JSON.stringify(said)}\n`)
