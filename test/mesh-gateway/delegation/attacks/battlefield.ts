/**
 * A delegation port under attack: attackers and hostile peers that speak HTTP/2 by hand, and a canary, which is another
 * tenant whose calls go on all the while.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import {
  checkIsGateway,
  clientTlsOptions,
  type IdentityStore,
  serverTlsOptions,
} from '@clawmesh/agent-sdk/mesh'
import type { DelegationPortOptions } from '../../../../mesh-gateway/src/delegation/port.ts'
import {
  type Header,
  headersFrame,
  PREFACE,
  type RawSide,
  rawSide,
  settingsFrame,
} from '../../../support/raw-http2.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { call, echo, type Fixture, GATEWAY, makeFixture } from '../fixture.ts'

export interface Battlefield {
  readonly mesh: Fixture
  /** planner of acme, who may call all of acme */
  readonly attacker: IdentityStore
  /** A TLS connection of the attacker, or without a certificate, on which nothing has been sent. */
  dial(options?: { identity?: IdentityStore | null; alpn?: string[] }): Promise<tls.TLSSocket>
  /** A connection of the attacker after preface and settings. */
  attack(settings?: readonly (readonly [number, number])[]): Promise<RawSide>
  /** A peer of acme whose every connection `script` gets, before anything has been sent. Answers its name. */
  hostile(agent: string, script: (side: RawSide) => void): Promise<string>
  /** How many calls of the other tenant went well, and how others did not. */
  readonly canary: { readonly calls: number; readonly errors: readonly string[] }
  /** Resolves when the canary has sung once more, and throws when it ever failed. */
  unharmed(): Promise<void>
  /** Resolves when `clawmesh_connections_refused_total` has the reason. */
  counted(reason: string): Promise<void>
  close(): Promise<void>
}

const POLICIES = [
  { tenant: 'acme', delegation: { allow: [{ from: '*', to: '*' }] } },
  { tenant: 'globex', delegation: { allow: [{ from: '*', to: '*' }] } },
]
const CANARY_PAUSE_MS = 5

export async function openBattlefield(
  options: Partial<DelegationPortOptions> = {},
): Promise<Battlefield> {
  const mesh = await makeFixture(POLICIES, options)
  const attacker = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
  const closers: (() => Promise<void>)[] = []
  const canary = { calls: 0, errors: [] as string[] }
  const stopCanary = await startCanary(mesh, canary)

  async function dial({
    identity = attacker,
    alpn = ['h2'],
  }: {
    identity?: IdentityStore | null
    alpn?: string[]
  } = {}): Promise<tls.TLSSocket> {
    const { host, port } = mesh.port.address
    const choices = { servername: GATEWAY, alpn }
    const { cert, key, ...anonymous } = clientTlsOptions(
      (identity ?? attacker).current(),
      mesh.ca.spiffe,
      checkIsGateway,
      choices,
    )
    const known = identity === null ? anonymous : { ...anonymous, cert, key }
    const socket = tls.connect({ ...known, host, port })
    closers.push(async () => {
      socket.destroy()
    })
    const refused = once(socket, 'close').then(() => {
      throw new Error('the connection was closed in the handshake')
    })
    refused.catch(() => {})
    await Promise.race([once(socket, 'secureConnect'), refused])
    return socket
  }

  return {
    mesh,
    attacker,
    canary,
    dial,
    async attack(settings = []) {
      const side = rawSide(await dial())
      await side.send(PREFACE, settingsFrame(settings))
      return side
    },
    async hostile(agent, script) {
      const own = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent }))
      const server = tls.createServer(serverTlsOptions(own.current()))
      const sockets = new Set<tls.TLSSocket>()
      server.on('secureConnection', (socket) => {
        sockets.add(socket)
        script(rawSide(socket, { prefaced: true }))
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const name = `${agent}.acme.mesh.internal`
      mesh.names.set(name, [{ ip: '127.0.0.1', port }])
      closers.push(async () => {
        server.close()
        for (const socket of sockets) socket.destroy()
        await once(server, 'close')
      })
      return name
    },
    async unharmed() {
      const { calls } = canary
      await waitFor('another call of the canary', () => canary.calls > calls + 1)
      if (canary.errors.length > 0) throw new Error(`the canary heard ${canary.errors.join(', ')}`)
    },
    async counted(reason) {
      await waitFor(`a connection refused for ${reason}`, async () => {
        const text = await mesh.metrics.text()
        return text.includes(
          `clawmesh_connections_refused_total{plane="delegation",reason="${reason}"}`,
        )
      })
    },
    async close() {
      await stopCanary()
      for (const close of closers) await close()
      await mesh.close()
    },
  }
}

/** The head of a call, with more or other headers after it. */
export function callHead(authority: string, ...more: readonly Header[]): Header[] {
  return [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':path', '/test.v1.Echo/Unary'],
    [':authority', authority],
    ['te', 'trailers'],
    ['content-type', 'application/grpc'],
    ...more,
  ]
}

export const callFrame = (stream: number, authority: string, ...more: readonly Header[]) =>
  headersFrame(stream, callHead(authority, ...more))

async function startCanary(
  mesh: Fixture,
  canary: { calls: number; errors: string[] },
): Promise<() => Promise<void>> {
  const open = async (agent: string) =>
    await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'globex', agent }))
  const peer = await mesh.peer('canary', echo, await open('echo'))
  const name = 'echo.globex.mesh.internal'
  mesh.names.set(name, mesh.names.get(peer.name) ?? [])
  const session = await mesh.connect(await open('canary'))
  let over = false
  const singing = (async () => {
    while (!over) {
      try {
        const answer = await call(session, { ':authority': name, 'grpc-timeout': '60S' })
        canary.calls += 1
        if (answer.status !== 0) canary.errors.push(answer.error?.code ?? `status ${answer.status}`)
      } catch (error) {
        canary.errors.push(String(error))
        return
      }
      await new Promise((resolve) => setTimeout(resolve, CANARY_PAUSE_MS))
    }
  })()
  return async () => {
    over = true
    await singing
  }
}
