/**
 * The agent of this OpenClaw in the mesh, as long as the process lives: made once, by the copy of the plugin that is started first,
 * and taken over by those that come after it, so that an edit of the configuration ends no task.
 */
import { join } from 'node:path'
import { type KeptRelay, keepRelay } from '@clawmesh/agent/relay'
import { createTools, type Tools } from '@clawmesh/agent/tools'
import { type Agent, type Log, MeshError } from '@clawmesh/agent-sdk'
import { readWhole } from '@clawmesh/agent-sdk/mesh'
import type { PluginConfig } from '../config/plugin-config.ts'
import { readConfig } from '../config/read-config.ts'
import { wideTools } from '../config/wide-tools.ts'
import type { Declared } from '../declared/declarations.ts'
import { createDeclarations, type Declarations } from '../declared/follow-declared.ts'
import { createNeedsLog } from '../declared/needs-log.ts'
import { missingOf } from '../declared/report-missing.ts'
import type { Host } from '../host/host.ts'
import { createServing, type Serving, servedShape } from '../inbound/serving.ts'
import { createTurns } from '../inbound/turns.ts'
import { type AgentLink, createAgentLink } from './agent-link.ts'
import { agentOptions, connectionShape } from './agent-settings.ts'
import type { GuardedCall, Mesh, ToolAnswer, ToolCall } from './contract.ts'
import { guardCall } from './guard-call.ts'
import { hostLog } from './host-log.ts'
import { runCall } from './run-call.ts'
import { createHostWait, type HostWait } from './wait-for-host.ts'

export interface MeshOptions {
  /** How long a stopped service is waited for before all of it is closed, in milliseconds. Default 60,000. */
  readonly takeOverMs?: number
}

export function createMesh(options: MeshOptions = {}): Mesh {
  return new PluginMesh(options.takeOverMs ?? 60_000)
}

/** An agent with all that depends on it. */
interface Connected {
  readonly shape: string
  readonly link: AgentLink
}

class PluginMesh implements Mesh {
  readonly #takeOverMs: number
  readonly #turns = createTurns()
  readonly #hosts: HostWait = createHostWait()
  readonly #log: Log = hostLog(() => this.#hosts.current()?.log ?? null)
  #config: PluginConfig | null = null
  #faults: readonly string[] = []
  #connected: Connected | null = null
  #declarations: Declarations | null = null
  #tools: Tools | null = null
  #serving: { readonly shape: string; readonly serving: Serving } | null = null
  /** Changes of what is served, one after another. */
  #changing: Promise<void> = Promise.resolve()
  #toldMissing: string | null = null
  #toldWide: string | null = null
  readonly #toldNeeds = createNeedsLog()
  #kept: { readonly shape: string; readonly relay: KeptRelay | null } | null = null
  #leaving: NodeJS.Timeout | undefined
  #closed: Promise<void> | null = null

  constructor(takeOverMs: number) {
    this.#takeOverMs = takeOverMs
  }

  begin(host: Host): void {
    clearTimeout(this.#leaving)
    this.#hosts.put(host)
    if (this.#closed === null) {
      this.#begin(host)
      return
    }
    // it was given up: all is made anew once that is done
    const again = () => {
      if (this.#hosts.current() === host) this.#begin(host)
    }
    this.#closed.then(again, again)
  }

  #begin(host: Host): void {
    const { config, faults } = readConfig(host.pluginConfig)
    this.#faults = faults ?? []
    if (config === null) {
      const kept = this.#config === null ? 'the mesh stays off' : 'the last good one stays in force'
      this.#log.error(
        {},
        `plugins.entries.clawmesh.config cannot be used, ${kept}: ${faults.join('; ')}`,
      )
      return
    }
    this.#config = config
    this.#toldWide = this.#tellOnce(wideTools(config), this.#toldWide)
    this.#tools ??= createTools({ stateDir: join(host.stateDir, 'clawmesh'), log: this.#log })
    this.#connect(config)
    this.#relay(config, host)
    this.#declare()
    this.#serve()
  }

  release(host: Host): void {
    if (!this.#hosts.take(host)) return
    clearTimeout(this.#leaving)
    this.#leaving = setTimeout(() => {
      this.close().catch((err: unknown) => this.#log.error({ err }, 'the mesh was not left well'))
    }, this.#takeOverMs)
    this.#leaving.unref()
  }

  servesIn(sessionKey: string | null): boolean {
    return this.#turns.find(sessionKey ?? undefined) !== null
  }

  adopt(sessionKey: string, childKey: string): void {
    this.#turns.adopt(sessionKey, childKey)
  }

  run(call: ToolCall): Promise<ToolAnswer> {
    const { agent, why } = this.#agent()
    return runCall(call, {
      ...{ agent, why, turns: this.#turns, tools: this.#tools, log: this.#log },
      waitMs: this.#config?.waitMs ?? 0,
      guard: (guarded) => this.guard(guarded),
    })
  }

  guard(call: GuardedCall): Promise<string | null> {
    return guardCall(call, {
      turns: this.#turns,
      declarations: this.#declarations,
      holdsWebFetch: this.#config !== null && this.#config.hosts !== null,
      own: this.#own(),
    })
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeAll()
    return this.#closed
  }

  async #closeAll(): Promise<void> {
    clearTimeout(this.#leaving)
    this.#declarations?.close()
    await this.#changing
    // in this order, and each of them however the one before has ended
    const steps = [
      async () => this.#serving?.serving.close(),
      async () => this.#tools?.close(),
      async () => this.#kept?.relay?.close(),
      async () => this.#connected?.link.close(),
    ]
    const faults: unknown[] = []
    for (const step of steps) await step().catch((error) => faults.push(error))
    this.#declarations = null
    this.#serving = null
    this.#tools = null
    this.#kept = null
    this.#connected = null
    this.#config = null
    this.#closed = null
    if (faults.length > 0) throw faults[0]
  }

  #agent(): { readonly agent: Agent | null; readonly why: Error | null } {
    const link = this.#connected?.link
    const agent = link?.agent() ?? null
    if (agent !== null) return { agent, why: null }
    const unusable =
      this.#faults.length > 0
        ? new MeshError('MESH_CONFIG_INVALID', 'the plugin is not configured')
        : null
    return { agent: null, why: link?.fault() ?? unusable }
  }

  #own() {
    return { tenant: this.#connected?.link.agent()?.identity.tenant ?? '' }
  }

  #connect(config: PluginConfig): void {
    const shape = connectionShape(config)
    const before = this.#connected
    if (before?.shape === shape) return
    this.#connected = {
      shape,
      link: createAgentLink({
        agent: agentOptions(config, this.#log),
        log: this.#log,
        onAgent: () => {
          this.#declare()
          this.#serve()
        },
        onConnected: (agent) => {
          const declared = this.#declarations?.current()
          if (declared !== undefined) void this.#tellMissing(agent, declared)
        },
      }),
    }
    if (before === null) return
    this.#change(async () => {
      await this.#serving?.serving.close()
      this.#serving = null
      await before.link.close()
    })
  }

  /** It survives reloads: what OpenClaw and its children send goes on meanwhile. */
  #relay(config: PluginConfig, host: Host): void {
    const { gateway, identity, egress, relay } = config
    const shape = JSON.stringify([gateway, identity, egress, relay])
    const before = this.#kept
    if (before?.shape === shape) return
    const wanted = relay !== null && egress !== null
    if (relay !== null && egress === null)
      this.#log.error({}, 'the relay needs egress, the URL of the egress port of the gateway')
    const kept = wanted
      ? keepRelay({
          ...{ gateway, identity, egress, listen: relay.listen, log: this.#log },
          secretFile: relay.secretFile ?? join(host.stateDir, 'clawmesh', 'relay.secret'),
          command: [process.execPath, host.pluginFile, 'relay'],
          env: process.env,
        })
      : null
    this.#kept = { shape, relay: kept }
    void before?.relay?.close()
  }

  /** Anew, since names are compared as those of the own tenant. */
  #declare(): void {
    const host = this.#hosts.current()
    if (host === null || this.#config === null) return
    this.#declarations?.close()
    this.#declarations = createDeclarations({
      config: this.#config,
      own: this.#own(),
      skillFolders: host.skillFolders,
      read: readWhole,
      onChange: (declared, faults) => {
        for (const fault of faults) this.#log.warn({}, fault)
        const { agent } = this.#agent()
        // before it is known short names are of no tenant
        if (agent !== null) this.#toldNeeds.tell(declared, this.#log)
        if (agent?.state().status === 'connected') void this.#tellMissing(agent, declared)
      },
    })
  }

  /** Once for the same. */
  async #tellMissing(agent: Agent, declared: Declared): Promise<void> {
    const missing = await missingOf(agent, declared)
    const words = missing === null ? null : `policy does not allow all that is declared: ${missing}`
    this.#toldMissing = this.#tellOnce(words, this.#toldMissing)
  }

  /** @returns what to give as `before` the next time */
  #tellOnce(words: string | null, before: string | null): string | null {
    if (words !== null && words !== before) this.#log.warn({}, words)
    return words
  }

  #serve(): void {
    this.#change(async () => {
      const config = this.#config
      const agent = this.#connected?.link.agent() ?? null
      const host = this.#hosts.current()
      if (config === null || agent === null || host === null) return
      const shape = servedShape(config)
      if (this.#serving?.shape === shape) return
      await this.#serving?.serving.close()
      this.#serving = null
      if (Object.keys(config.serve).length === 0) return
      const serving = await createServing({
        ...{ agent, config, turns: this.#turns, stateDir: join(host.stateDir, 'clawmesh') },
        settings: (skill) => this.#config?.serve[skill] ?? null,
        host: (signal) => this.#hosts.wait(signal),
      })
      this.#serving = { shape, serving }
      this.#log.info({}, `serves ${Object.keys(config.serve).join(', ')} on port ${serving.port}`)
    })
  }

  #change(work: () => Promise<void>): void {
    this.#changing = this.#changing.then(work).catch((err: unknown) => {
      this.#log.error({ err }, 'what peers are served could not be changed')
    })
  }
}
