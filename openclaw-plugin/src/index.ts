/**
 * The entry point of the OpenClaw plugin `clawmesh`. OpenClaw loads it by `require`, several times in one process: nothing is awaited
 * at the top, and the SDK comes with the first use.
 */
import type { HostApi } from './host/openclaw-types.ts'
import { copiesOf } from './process/copies.ts'
import { register } from './register.ts'

/** Set by the build: a digest of the sources. */
declare const CLAWMESH_BUILD: string | undefined

const build = typeof CLAWMESH_BUILD === 'undefined' ? 'sources' : CLAWMESH_BUILD
const copies = () =>
  copiesOf(globalThis, build, async () => {
    // evaluating the SDK holds the event loop up for a third of a second, and more on a busy machine: not within `start`
    await new Promise((resolve) => setImmediate(resolve))
    return (await import('./core/mesh.ts')).createMesh()
  })

// node runs this file by itself: it is the relay
if (import.meta.main && process.argv[2] === 'relay')
  void import('./relay/relay-process.ts').then(({ runAsRelay }) =>
    runAsRelay(process.argv.slice(3)),
  )

export default {
  id: 'clawmesh',
  name: 'Clawmesh',
  description:
    'Delegate to other agents over mutual TLS, serve them, and reach the outside through the egress gateway',
  register: (api: HostApi) => register(api, copies),
}
