/** A delegation port with real certificates, real sockets and a policy, in this process. */
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import { silentLog } from '@clawmesh/agent-sdk'
import {
  checkIsGateway,
  clientTlsOptions,
  type IdentityStore,
  serverTlsOptions,
} from '@clawmesh/agent-sdk/mesh'
import { type MeshError, Secret, uuidV7 } from '@clawmesh/proto'
import { decodeStatusDetails } from '@clawmesh/proto/wire'
import type {
  AuditLog,
  DelegationAuditRecord,
} from '../../../mesh-gateway/src/audit/audit-record.ts'
import { createChainGate } from '../../../mesh-gateway/src/delegation/chain/chain-gate.ts'
import { createChainTokens } from '../../../mesh-gateway/src/delegation/chain/chain-tokens.ts'
import {
  createDelegationPort,
  type DelegationPortOptions,
} from '../../../mesh-gateway/src/delegation/port.ts'
import { createMemoryBudgets } from '../../../mesh-gateway/src/limits/budgets.ts'
import { createLimits } from '../../../mesh-gateway/src/limits/create-limits.ts'
import { createRefusalBudgets } from '../../../mesh-gateway/src/limits/refusal-budget.ts'
import type { Port } from '../../../mesh-gateway/src/net/port.ts'
import { compilePolicy } from '../../../mesh-gateway/src/policy/compile/compile.ts'
import { readPolicyFile } from '../../../mesh-gateway/src/policy/read/read-file.ts'
import { ResolveFailure, type Resolver } from '../../../mesh-gateway/src/resolve/resolver.ts'
import {
  createMetrics,
  type MetricsHandle,
} from '../../../mesh-gateway/src/telemetry/create-metrics.ts'
import { openKeyRing } from '../../../mesh-gateway/src/tokens/key-ring.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'

export const GATEWAY = 'gateway.mesh.internal'

export interface Fixture {
  readonly ca: TestCa
  readonly port: Port
  readonly metrics: MetricsHandle
  readonly records: DelegationAuditRecord[]
  /** Resolves with the next audit record. */
  nextRecord(): Promise<DelegationAuditRecord>
  /** Names to `ip:port`, as SRV and A records would tell. */
  readonly names: Map<string, { ip: string; port: number }[]>
  /** From now on every question to DNS fails so; null answers again. */
  failDns(kind: ResolveFailure['kind'] | null): void
  setPolicy(document: object | readonly object[]): void
  /** A session of a caller, with settings of HTTP/2 that it announces. */
  connect(identity: IdentityStore, settings?: Settings): Promise<ClientHttp2Session>
  /** A peer that answers each stream with `handler`; known to the resolver by its name. */
  peer(
    agent: string,
    handler: (stream: ServerHttp2Stream, headers: readonly string[]) => void,
    identity?: IdentityStore,
  ): Promise<Peer>
  close(): Promise<void>
}

export interface Peer {
  readonly name: string
  readonly port: number
  close(): Promise<void>
}

export interface Answer {
  readonly headers: Record<string, unknown>
  readonly trailers: Record<string, unknown>
  /** Names and values in turn. */
  readonly rawTrailers: readonly string[]
  readonly body: Buffer
  readonly status: number
  readonly message: string
  readonly error: MeshError | null
  readonly rstCode: number
}

export const OPEN_POLICY = {
  tenant: 'acme',
  delegation: { allow: [{ from: 'planner', to: '*' }] },
}

/**
 * @param policyDocument of acme, or one for each of several tenants
 * @param more options of the port, over those of the fixture
 */
export async function makeFixture(
  policyDocument: object | readonly object[] = OPEN_POLICY,
  more: Partial<DelegationPortOptions> = {},
): Promise<Fixture> {
  const ca = await makeTestCa()
  const identity = await ca.open(await ca.gatewayDir({ name: 'gw-1', tenants: ['acme', 'globex'] }))
  const records: DelegationAuditRecord[] = []
  const waiting: ((record: DelegationAuditRecord) => void)[] = []
  const names = new Map<string, { ip: string; port: number }[]>()
  const closers: (() => Promise<void>)[] = []
  let policy = compile(policyDocument, 1)

  const audit: AuditLog = {
    // on a slow machine a call may be open for longer than the default: a test reads its one record
    openAfterMs: 3_600_000,
    write(record) {
      if (record.event !== 'delegation') return
      records.push(record)
      waiting.shift()?.(record)
    },
    healthy: () => true,
    close: async () => {},
  }
  let dnsFailure: ResolveFailure['kind'] | null = null
  const resolver: Resolver = {
    async services(name) {
      if (dnsFailure !== null) throw new ResolveFailure(dnsFailure)
      const found = names.get(name.replace(/^_grpc\._tcp\./, ''))
      if (found === undefined) throw new ResolveFailure('not-found')
      return found.map(({ ip, port: number }) => ({
        host: `${ip}.test`,
        port: number,
        priority: 0,
        weight: 0,
      }))
    },
    async addresses(host) {
      if (dnsFailure !== null) throw new ResolveFailure(dnsFailure)
      if (!host.endsWith('.test')) throw new ResolveFailure('not-found')
      return [{ ip: host.slice(0, -'.test'.length), ttlMs: 0 }]
    },
    close() {},
  }
  const metrics = createMetrics()
  const keyRing = await openKeyRing({ dir: join(ca.dir, 'keys') })
  const chainTokens = createChainTokens({ keyRing, issuer: 'https://gateway', spiffe: ca.spiffe })
  const port = await createDelegationPort({
    listen: { host: '127.0.0.1', port: 0 },
    identity,
    spiffe: ca.spiffe,
    meshDomain: 'mesh.internal',
    policy: { current: () => policy },
    limits: createLimits(),
    // most tests are not about how often one may be refused
    refusals: createRefusalBudgets({ refusedPerAgent: 1e9, refusedPerAddress: 1e9 }),
    audit,
    metrics,
    log: silentLog,
    resolver,
    chain: createChainGate({
      tokens: chainTokens,
      budgets: createMemoryBudgets({ keepMs: () => 60_000 }),
      ...(more.revocations === undefined ? {} : { revocations: more.revocations }),
      ttlMs: () => 60_000,
    }),
    dialTimeoutMs: 2_000,
    issueEgressToken: async (agent, destinations, _chain, boundTo) => ({
      token: new Secret(boundTo === null ? 'a-token' : `bound to ${boundTo}`),
      claims: {
        iss: 'x',
        aud: 'clawmesh-egress',
        sub: ca.spiffe.agent(agent.tenant, agent.agent).id,
        agent_id: agent.agent,
        tenant: agent.tenant,
        allowed_destinations: destinations ?? ['example.com'],
        iat: 1,
        nbf: 1,
        exp: 2_000_000_000,
        jti: uuidV7(),
      },
    }),
    ...more,
  })

  return {
    ca,
    port,
    metrics,
    records,
    names,
    nextRecord: () => new Promise((resolve) => waiting.push(resolve)),
    failDns(kind) {
      dnsFailure = kind
    },
    setPolicy(document) {
      policy = compile(document, policy.generation + 1)
    },
    async connect(store, settings = {}) {
      const socket = tls.connect({
        ...clientTlsOptions(store.current(), ca.spiffe, checkIsGateway, { servername: GATEWAY }),
        ...port.address,
      })
      const session = connect(`https://${GATEWAY}`, {
        createConnection: () => socket,
        maxSessionMemory: 64,
        settings,
      })
      session.on('error', () => {})
      closers.push(async () => session.destroy())
      await once(session, 'remoteSettings')
      return session
    },
    async peer(agent, handler, store) {
      const own = store ?? (await ca.open(await ca.agentDir({ tenant: 'acme', agent })))
      const server = createSecureServer(serverTlsOptions(own.current()))
      const sessions = new Set<{ destroy(): void }>()
      server.on('session', (session) => {
        sessions.add(session)
        session.once('close', () => sessions.delete(session))
        session.on('error', () => {})
      })
      const onStream = (
        stream: ServerHttp2Stream,
        _headers: unknown,
        _flags: number,
        raw: readonly string[],
      ) => {
        stream.on('error', () => {})
        handler(stream, raw)
      }
      server.on('stream', onStream)
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port: number } = server.address() as AddressInfo
      const name = `${agent}.acme.mesh.internal`
      names.set(name, [{ ip: '127.0.0.1', port: number }])
      let closed = false
      const close = async () => {
        if (closed) return
        closed = true
        const gone = once(server, 'close')
        server.close()
        for (const session of sessions) session.destroy()
        await gone
      }
      closers.push(close)
      return { name, port: number, close }
    },
    async close() {
      await port.close()
      for (const close of closers) await close()
      metrics.close()
      chainTokens.close()
      await keyRing.close()
      await ca.close()
    },
  }
}

/** One call on a session: headers and body in, everything that came back out. */
export async function call(
  session: ClientHttp2Session,
  headers: Record<string, string | readonly string[]>,
  body: Buffer = frame(Buffer.from('hello')),
  onHeaders?: () => void,
): Promise<Answer> {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/test.v1.Echo/Unary',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  })
  let head: Record<string, unknown> = {}
  let trailers: Record<string, unknown> = {}
  const chunks: Buffer[] = []
  stream.on('response', (answered) => {
    head = answered
    onHeaders?.()
  })
  let rawTrailers: readonly string[] = []
  stream.on('trailers', (ended, _flags, raw?: readonly string[]) => {
    trailers = ended
    rawTrailers = raw ?? []
  })
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('error', () => {})
  stream.end(body)
  await once(stream, 'close')
  const last = 'grpc-status' in trailers ? trailers : head
  const details = last['grpc-status-details-bin']
  return {
    headers: head,
    trailers,
    rawTrailers,
    body: Buffer.concat(chunks),
    status: Number(last['grpc-status'] ?? -1),
    message: decodeMessage(String(last['grpc-message'] ?? '')),
    error: typeof details === 'string' ? decodeStatusDetails(Buffer.from(details, 'base64')) : null,
    rstCode: stream.rstCode ?? 0,
  }
}

/** As it came, when it is not what it should be. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // a peer may write what it likes; that it arrives is what tests look at
    return text
  }
}

/** A gRPC message: one byte of flags, four of length, the payload. */
export function frame(payload: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(payload.length, 1)
  return Buffer.concat([head, payload])
}

/** A peer that sends back what it gets. */
export function echo(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.pipe(stream)
}

function compile(document: object | readonly object[], generation: number) {
  const documents: readonly object[] = Array.isArray(document) ? document : [document]
  const files = documents.map((one) => {
    const name = 'tenant' in one ? `${one.tenant}.json` : 'acme.json'
    const reading = readPolicyFile(name, Buffer.from(JSON.stringify(one)))
    if (reading.kind === 'broken') throw new Error(JSON.stringify(reading.faults))
    return reading
  })
  return compilePolicy(files, generation)
}
