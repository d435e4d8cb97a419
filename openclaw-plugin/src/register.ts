/** Registers the plugin with OpenClaw, in each copy of its modules. Nothing is started here, and the SDK is not loaded. */
import type { Mesh } from './core/contract.ts'
import { createHost, type Host } from './host/host.ts'
import type {
  BeforeToolCallContext,
  BeforeToolCallEvent,
  HostApi,
  HostService,
} from './host/openclaw-types.ts'
import type { Copies } from './process/copies.ts'
import { toolFactories } from './tool-factories.ts'

// how long OpenClaw waits for its end
const GOODBYE_MS = 5_000

export function register(api: HostApi, copies: () => Copies): void {
  for (const { name, factory } of toolFactories(copies)) api.registerTool(factory, { name })
  api.on('before_tool_call', (event, context) => beforeToolCall(copies(), event, context))
  api.on('subagent_spawned', ({ childSessionKey }, { requesterSessionKey }) => {
    if (requesterSessionKey !== undefined)
      copies().loaded()?.adopt(requesterSessionKey, childSessionKey)
  })
  // the process ends, or begins anew: nobody will take over
  api.on('gateway_stop', async () => {
    await Promise.race([copies().close(), new Promise((go) => setTimeout(go, GOODBYE_MS).unref())])
  })
  if (api.registrationMode === 'full') api.registerService(createService(api, copies))
}

/** `start` has 5 seconds when the plugin is reloaded; beyond, every turn of this OpenClaw fails. So nothing of the network is awaited. */
function createService(api: HostApi, copies: () => Copies): HostService {
  let started: { readonly host: Host; readonly mesh: Promise<Mesh> } | null = null
  return {
    id: 'clawmesh',
    start(context) {
      const host = createHost(api, context)
      const mesh = copies().mesh()
      const mine = { host, mesh }
      started = mine
      mesh
        .then((loaded) => {
          // stopped before it was loaded
          if (started === mine) loaded.begin(host)
        })
        .catch((error: unknown) => {
          host.log.error(`clawmesh: the plugin could not be started: ${String(error)}`)
        })
    },
    async stop() {
      const stopped = started
      started = null
      if (stopped !== null) (await stopped.mesh).release(stopped.host)
    },
  }
}

async function beforeToolCall(
  copies: Copies,
  { toolName, params, toolCallId }: BeforeToolCallEvent,
  { sessionKey, trace }: BeforeToolCallContext,
) {
  const traceparent = traceparentOf(trace)
  if (toolCallId !== undefined && traceparent !== null && toolName.startsWith('mesh_'))
    copies.traces.put(toolCallId, traceparent)
  const mesh = copies.loaded()
  // before it is loaded nobody is served, and its own tools judge for themselves
  if (mesh === null) return undefined
  const refused = await mesh.guard({ tool: toolName, params, sessionKey: sessionKey ?? null })
  return refused === null ? undefined : { block: true, blockReason: refused }
}

/** W3C Trace Context, section 3.2. */
function traceparentOf(trace: BeforeToolCallContext['trace']): string | null {
  const { traceId = '', spanId = '', traceFlags = '01' } = trace ?? {}
  const valid = /^(?!0+$)[0-9a-f]{32}$/.test(traceId) && /^(?!0+$)[0-9a-f]{16}$/.test(spanId)
  return valid && /^[0-9a-f]{2}$/.test(traceFlags) ? `00-${traceId}-${spanId}-${traceFlags}` : null
}
