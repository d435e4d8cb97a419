/** `fetch` of agents in memory: judged as the egress port would, and answered by a function of the test. */
import { MeshError, parseTraceparent } from '@clawmesh/proto'
import type { EgressAccess } from '../agent/egress-access.ts'
import { checkFetchOptions } from '../egress/fetch-options.ts'
import { spanOf } from '../wire/trace.ts'
import { agentsOf, type MemoryChain, reaches, readToken } from './memory-chain.ts'
import type { MemoryPolicy, TestRecord } from './memory-policy.ts'

/** Answers what an agent fetches, in place of the outside. */
export type FetchHandler = (
  request: Request,
  from: { readonly agent: string },
) => Response | Promise<Response>

export interface MemoryEgressOptions {
  /** SPIFFE ID of the agent. */
  readonly agent: string
  readonly policy: MemoryPolicy
  /** Null: there is no egress port. */
  readonly handler: () => FetchHandler | null
  readonly record: (record: TestRecord) => void
}

export function createMemoryEgress(options: MemoryEgressOptions): EgressAccess {
  const closing = new AbortController()
  return {
    under: (chain, ending) => ({
      async fetch(input, init, within = {}) {
        const handler = options.handler()
        if (handler === null) throw new TypeError('egress: createAgent was given no egress port')
        checkFetchOptions(init ?? {})
        const request = new Request(input, init)
        const signals = [request.signal, closing.signal, ending, within.signal]
        const signal = AbortSignal.any(signals.filter((each) => each !== undefined))
        signal.throwIfAborted()
        const asked = chain === null ? null : readToken(chain.token.reveal())
        const trace = spanOf(request.headers.get('traceparent') ?? within.trace)
        judge(options, request, asked, trace)
        return until(signal, async () => handler(request, { agent: options.agent }))
      },
      async close() {},
    }),
    relay: () =>
      Promise.reject(new TypeError('egressRelay: listens, and a test mesh has no sockets')),
    async close() {
      closing.abort(new MeshError('MESH_CALL_CANCELED', 'the agent was closed'))
    },
  }
}

/** @throws MeshError as the egress port refuses: each agent of the chain must be allowed by itself */
function judge(
  { agent, policy, record }: MemoryEgressOptions,
  { url, method }: Request,
  asked: MemoryChain | null,
  trace: string,
): void {
  const { hostname: host, port: given, protocol } = new URL(url)
  const port = given || (protocol === 'https:' ? '443' : '80')
  const chain = agentsOf(asked)
  const question = { plane: 'egress', to: `${host}:${port}`, method, chain } as const
  let refusal = policy.judge({ ...question, agent })
  if (refusal === null && asked?.narrowed.every((list) => reaches(list, host, port)) === false)
    refusal = new MeshError('MESH_TOKEN_DESTINATION')
  for (const actor of refusal === null ? chain : [])
    if (policy.judge({ ...question, agent: actor }) !== null)
      refusal ??= new MeshError('MESH_CHAIN_ACTOR_REFUSED', `${actor} is not allowed it`)
  record({
    ...{ ...question, agent, code: refusal?.code ?? null, rootId: asked?.txn ?? null },
    traceId: parseTraceparent(trace)?.traceId ?? '',
  })
  if (refusal !== null) throw refusal
}

async function until<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const over = () => reject(signal.reason)
  signal.addEventListener('abort', over, { once: true })
  try {
    return await Promise.race([work(), promise])
  } finally {
    signal.removeEventListener('abort', over)
  }
}
