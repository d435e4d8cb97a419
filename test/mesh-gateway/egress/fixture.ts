/**
 * An egress port with real tokens, a real policy and real sockets, in this process, and clients and destinations of raw bytes.
 * Tests begin it by `setUp().egress(…)` of setup.ts, which also closes it.
 */
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext, rootCertificates } from 'node:tls'
import { createSpiffeTemplate } from '@clawmesh/proto'
import type {
  AuditRecord,
  EgressAuditRecord,
} from '../../../mesh-gateway/src/audit/audit-record.ts'
import {
  createEgressPort,
  type EgressPort,
  type EgressPortOptions,
} from '../../../mesh-gateway/src/egress/port.ts'
import { createLimits } from '../../../mesh-gateway/src/limits/create-limits.ts'
import { createRefusalBudgets } from '../../../mesh-gateway/src/limits/refusal-budget.ts'
import type { PolicySnapshot } from '../../../mesh-gateway/src/policy/snapshot.ts'
import { ResolveFailure } from '../../../mesh-gateway/src/resolve/resolver.ts'
import { createMetrics } from '../../../mesh-gateway/src/telemetry/create-metrics.ts'
import { createTokenIssuer, type TokenChain } from '../../../mesh-gateway/src/tokens/issue-token.ts'
import { openKeyRing } from '../../../mesh-gateway/src/tokens/key-ring.ts'
import { createTokenVerifier } from '../../../mesh-gateway/src/tokens/verify-token.ts'
import { listenOnFreePort } from '../../support/http-origin.ts'
import { policyOf } from '../policy/policies.ts'

export const ISSUER = 'https://gateway.mesh.internal'

export interface FixtureOptions {
  /** Policy of tenant acme, its egress part; loopback is allowed as an address. */
  readonly egress?: object
  readonly global?: object
  /** Policy of tenant acme, its delegation part. */
  readonly delegation?: object
  /** Names to addresses; what is not there does not resolve. */
  readonly names?: Readonly<Record<string, readonly string[]>>
  /** Roots that destinations in relay form are verified by, PEM. */
  readonly ca?: string
  readonly port?: Partial<EgressPortOptions>
  /** Called for each token that is verified anew. */
  readonly onVerify?: () => void
}

export interface Fixture {
  readonly port: EgressPort
  readonly number: number
  readonly records: EgressAuditRecord[]
  /** Hosts that the resolver was asked for. */
  readonly asked: string[]
  token(request?: {
    agent?: string
    tenant?: string
    destinations?: string[]
    ttlMs?: number
    boundTo?: string
    /** The chain that the agent acts in. */
    chain?: TokenChain
    /** When it was issued, milliseconds since the epoch. */
    atMs?: number
    /** Issued while the agent is in audit mode. Default false. */
    audit?: boolean
  }): Promise<string>
  /** Resolves with the record at that place, once it is written. */
  record(index: number): Promise<EgressAuditRecord>
  /** Swaps the policy and tells listeners. */
  setPolicy(egress: object, global?: object, delegation?: object): void
  metrics(): Promise<string>
  close(): Promise<void>
}

/** Ports of tests are any, so policy must name them; `0` stands for all that tests listen on. */
export async function startEgress(options: FixtureOptions = {}): Promise<Fixture> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-egress-'))
  const keyRing = await openKeyRing({ dir })
  const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
  const verifier = createTokenVerifier({ keyRing, issuer: ISSUER, spiffe })
  const metrics = createMetrics()
  const records: EgressAuditRecord[] = []
  const asked: string[] = []
  const written = new EventEmitter()
  const listeners = new Set<(snapshot: PolicySnapshot) => void>()
  let generation = 0
  const build = (
    egress: object,
    global: object = {},
    delegation: object = options.delegation ?? {},
  ) => {
    generation += 1
    const rules = { allowCidrs: ['127.0.0.0/8', '::1/128'], ...global }
    return policyOf({ _global: { egress: rules }, acme: { egress, delegation } }, generation)
  }
  let snapshot = build(options.egress ?? { allow: [] }, options.global)
  const trust = createSecureContext({ ca: options.ca ?? rootCertificates[0] ?? '' })
  const release = async () => {
    verifier.close()
    metrics.close()
    await keyRing.close()
    await rm(dir, { recursive: true })
  }
  const port = await createEgressPort({
    listen: { host: '127.0.0.1', port: 0 },
    spiffe,
    policy: {
      current: () => snapshot,
      onChange(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
    issuer: ISSUER,
    verifyToken(token) {
      if (!verifier.remembers(token)) options.onVerify?.()
      return verifier.verify(token)
    },
    remembersToken: verifier.remembers,
    // most tests are not about how often one may be refused
    refusals: createRefusalBudgets({ refusedPerAgent: 1e9, refusedPerAddress: 1e9 }),
    trust: () => trust,
    jwks: keyRing.jwks,
    issueForAccountKey: null,
    resolver: {
      async addresses(host) {
        asked.push(host)
        const ips = options.names?.[host]
        if (ips === undefined) throw new ResolveFailure('not-found')
        return ips.map((ip) => ({ ip, ttlMs: 1000 }))
      },
      services: () => Promise.reject(new ResolveFailure('not-found')),
      close() {},
    },
    limits: createLimits(),
    audit: {
      // on a slow machine a request may be open for longer than the default: a test reads its one record
      openAfterMs: 3_600_000,
      write(record: AuditRecord) {
        assert.equal(record.event, 'egress')
        if (record.event === 'egress') records.push(record)
        written.emit('record')
      },
      healthy: () => true,
      close: async () => {},
    },
    metrics,
    ownAddresses: () => [],
    isReady: () => true,
    ...options.port,
  }).catch(async (error: unknown) => {
    await release()
    throw error
  })
  return {
    port,
    number: port.address.port,
    records,
    asked,
    async token({
      agent = 'bot-01',
      tenant = 'acme',
      destinations,
      ttlMs,
      boundTo,
      chain,
      atMs,
      audit = false,
    } = {}) {
      const issuer = createTokenIssuer({
        keyRing,
        issuer: ISSUER,
        spiffe,
        allowedDestinations: () => destinations ?? ALL_DESTINATIONS,
        enforced: () => !audit,
        ttl: () => ({ ttlMs: 900_000, maxTtlMs: 3_600_000 }),
        ...(atMs === undefined ? {} : { now: () => atMs }),
      })
      const issued = await issuer.issue({
        agent: { tenant, agent },
        destinations: destinations ?? null,
        ...(ttlMs === undefined ? {} : { ttlMs }),
        ...(boundTo === undefined ? {} : { boundTo }),
        ...(chain === undefined ? {} : { chain }),
      })
      return issued.token.reveal()
    },
    async record(index) {
      while (records.length <= index) await once(written, 'record')
      const found = records[index]
      assert.ok(found)
      return found
    },
    setPolicy(egress, global, delegation) {
      snapshot = build(egress, global, delegation)
      for (const listener of listeners) listener(snapshot)
    },
    metrics: () => metrics.text(),
    async close() {
      await port.close()
      await release()
    },
  }
}

const ALL_DESTINATIONS = ['placeholder.test']

export interface Upstream {
  readonly port: number
  /** Connections accepted so far. */
  readonly connections: Socket[]
  close(): Promise<void>
}

/** A TCP server that does as it is told with each connection. */
export async function startUpstream(serve: (socket: Socket) => void): Promise<Upstream> {
  const connections: Socket[] = []
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    connections.push(socket)
    socket.on('error', () => {})
    serve(socket)
  })
  const port = await listenOnFreePort(server)
  return {
    port,
    connections,
    async close() {
      for (const socket of connections) socket.destroy()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}

export interface RawClient {
  readonly socket: Socket
  send(text: string | Buffer): void
  /** Everything received, once `done` is true of it. */
  until(done: (text: string) => boolean): Promise<string>
  /** Everything received, once the other side has ended. */
  rest(): Promise<string>
  received(): Buffer
}

export async function rawClient(port: number): Promise<RawClient> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  const pieces: Buffer[] = []
  let ended = false
  const changed = new EventEmitter()
  socket.on('data', (chunk: Buffer) => {
    pieces.push(chunk)
    changed.emit('change')
  })
  for (const event of ['end', 'close', 'error'])
    socket.on(event, () => {
      ended = true
      changed.emit('change')
    })
  await once(socket, 'connect')
  const text = () => Buffer.concat(pieces).toString('latin1')
  return {
    socket,
    send: (data) => void socket.write(data, 'latin1'),
    async until(done) {
      while (!done(text())) {
        if (ended) assert.fail(`the connection ended after: ${text()}`)
        await once(changed, 'change')
      }
      return text()
    },
    async rest() {
      while (!ended) await once(changed, 'change')
      return text()
    },
    received: () => Buffer.concat(pieces),
  }
}

/** Sends bytes, ends nothing, and returns what came until the gateway closed. */
export async function sendRaw(port: number, data: string | Buffer): Promise<string> {
  const client = await rawClient(port)
  client.send(data)
  const answer = await client.rest()
  client.socket.destroy()
  return answer
}

/** The JSON that a refusal carries. */
export function refusalOf(answer: string): {
  code: string
  gate: string
  hint: string
  reason: string
  rule: string | null
  request_id: string
} {
  const body: unknown = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4))
  assert.ok(typeof body === 'object' && body !== null && 'code' in body)
  const text = (key: string) => String(Reflect.get(body, key))
  return {
    code: text('code'),
    gate: text('gate'),
    hint: text('hint'),
    reason: text('reason'),
    rule: Reflect.get(body, 'rule') === null ? null : text('rule'),
    request_id: text('request_id'),
  }
}
