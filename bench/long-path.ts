/**
 * An artifact over a path with a long round trip: `node bench/long-path.ts [MiB] [round trip in ms]`. Default 50 and 100. Callee, gateway and
 * caller are processes of their own. Prints MB/s without delay, with the delay between caller and gateway, and between gateway and callee.
 */
import { join } from 'node:path'
import { type RunningProcess, startProcess } from '../scripts/dev/child-process.ts'
import { freePort } from '../scripts/dev/free-ports.ts'
import type { ArtifactWorkerOptions } from '../test/support/artifact-worker.ts'
import { startMesh } from '../test/support/mesh.ts'
import { type DelayedPath, startDelayedPath } from './backends/delayed-path.ts'

const WORKER = new URL('../test/support/artifact-worker.ts', import.meta.url)
const MIB = 1024 * 1024
const bytes = Number(process.argv[2] ?? 50) * MIB
const roundTripMs = Number(process.argv[3] ?? 100)
const LEGS = ['none', 'caller to gateway', 'gateway to callee'] as const

function start(options: ArtifactWorkerOptions): [RunningProcess, Promise<unknown>] {
  const { promise, resolve } = Promise.withResolvers<unknown>()
  const worker = startProcess({
    ...{ name: options.role, file: WORKER, args: [JSON.stringify(options)], foreign: true },
    onMessage: resolve,
  })
  return [worker, promise]
}

function secondsOf(told: unknown): number {
  const caller: unknown =
    typeof told === 'object' && told !== null ? Reflect.get(told, 'caller') : null
  return typeof caller === 'object' && caller !== null
    ? Number(Reflect.get(caller, 'seconds'))
    : Number.NaN
}

async function measure(leg: (typeof LEGS)[number]): Promise<number> {
  const mesh = await startMesh({
    policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'worker' }] } } },
  })
  const paths: DelayedPath[] = []
  const through = async (port: number) => {
    const path = await startDelayedPath({ to: port, roundTripMs })
    paths.push(path)
    return path.port
  }
  const port = await freePort()
  mesh.announce('acme', 'worker', leg === 'gateway to callee' ? await through(port) : port)
  const [, own = ''] = mesh.gateway.delegation.split(':')
  const gateway = leg === 'caller to gateway' ? await through(Number(own)) : Number(own)
  const common = { bytes, listen: `127.0.0.1:${port}`, store: join(mesh.dir, 'tasks.db') }
  const [callee, ready] = start({
    ...{ ...common, role: 'callee', gateway: mesh.gateway.delegation },
    identity: await mesh.identity('acme', 'worker'),
  })
  await ready
  const identity = await mesh.identity('acme', 'planner')
  const [caller, told] = start({
    ...{ ...common, role: 'caller', gateway: `127.0.0.1:${gateway}`, identity },
  })
  const seconds = secondsOf(await told)
  for (const worker of [caller, callee]) await worker.stop(2_000)
  await mesh.close()
  for (const path of paths) await path.close()
  return bytes / 1e6 / seconds
}

for (const leg of LEGS) {
  const rate = await measure(leg)
  process.stdout.write(
    `${leg === 'none' ? 'no delay' : `${roundTripMs} ms, ${leg}`}: ${rate.toFixed(1)} MB/s\n`,
  )
}
