/** A relay in this process, in front of a real egress port or of a stand-in that answers as it is told. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log } from '@clawmesh/agent-sdk'
import { MeshError, Secret } from '@clawmesh/proto'
import {
  createEgressRelay,
  type EgressRelay,
  type EgressRelayParts,
} from '../../../../agent-sdk/src/egress/relay/egress-relay.ts'
import {
  createTokenSource,
  type TokenSource,
} from '../../../../agent-sdk/src/egress/token-source.ts'
import { silentLog } from '../../../../agent-sdk/src/log.ts'

export interface RelayWorld {
  readonly relay: EgressRelay
  readonly port: number
  /** What clients show. */
  readonly secret: string
  readonly secretFile: string
  /** The field that clients send, with its end of line. */
  readonly credential: string
  /** All that the log was told, as one text. */
  logged(): string
  close(): Promise<void>
}

export interface RelayWorldOptions extends Partial<Omit<EgressRelayParts, 'port' | 'log'>> {
  /** Of the egress port. */
  readonly gateway: number
  readonly secretFile?: string
}

export const ABOUT = Object.freeze({
  agent: 'spiffe://mesh.internal/tenant/acme/agent/bot-01',
  gateway: '127.0.0.1:8443',
})

export async function startRelay({
  gateway,
  secretFile,
  ...parts
}: RelayWorldOptions): Promise<RelayWorld> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-relay-'))
  const file = secretFile ?? join(dir, 'relay.secret')
  const told: string[] = []
  const tell = (fields: object, message: string) => {
    told.push(`${JSON.stringify(fields)} ${message}`)
  }
  const log: Log = { debug: tell, info: tell, warn: tell, error: tell }
  const relay = await createEgressRelay(
    { listen: '127.0.0.1:0', secretFile: file },
    {
      port: new URL(`http://127.0.0.1:${gateway}`),
      dialer: null,
      tokens: fixedTokens('a-token'),
      about: ABOUT,
      now: Date.now,
      ...parts,
      log,
    },
  )
  const secret = (await readFile(file, 'latin1')).trim()
  return {
    relay,
    port: relay.address.port,
    secret,
    secretFile: file,
    credential: basicOf(secret),
    logged: () => told.join('\n'),
    async close() {
      await relay.close()
      await rm(dir, { recursive: true })
    },
  }
}

export function basicOf(password: string): string {
  return `Proxy-Authorization: Basic ${Buffer.from(`openclaw:${password}`).toString('base64')}\r\n`
}

export interface CountedTokens extends TokenSource {
  readonly given: readonly string[]
  readonly refused: readonly string[]
}

/** One after another, a new one for each that was refused; when they have run out, as a gateway that is away. */
export function fixedTokens(...texts: readonly string[]): CountedTokens {
  const given: string[] = []
  const refused: string[] = []
  return {
    given,
    refused,
    async get() {
      const text = texts[refused.length]
      if (text === undefined) throw new MeshError('MESH_GATEWAY_UNREACHABLE')
      given.push(text)
      return { token: new Secret(text), expiresMs: Number.MAX_SAFE_INTEGER, boundTo: null }
    },
    refuse: (token) => void refused.push(token.token.reveal()),
  }
}

/** As the agent has them, with an exchange that makes a token of so short a life. */
export function shortTokens(
  make: () => Promise<string>,
  lifeMs: number,
): TokenSource & { readonly made: readonly string[] } {
  const made: string[] = []
  const source = createTokenSource({
    log: silentLog,
    now: Date.now,
    async exchange() {
      const token = await make()
      made.push(token)
      return { token: new Secret(token), expiresMs: Date.now() + lifeMs, boundTo: null }
    },
  })
  return { ...source, made }
}

export function statusOf(answer: string): number {
  const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(answer) ?? []
  assert.notEqual(status, undefined, `no answer: ${answer.slice(0, 80)}`)
  return Number(status)
}
