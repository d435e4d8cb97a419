/** The configuration of the plugin, `plugins.entries.clawmesh.config` of OpenClaw: what it may hold, and what is left out means. */

export interface PluginConfig {
  /** host:port of the gateway's delegation port. */
  readonly gateway: string
  /** The directory with tls.crt, tls.key and ca.crt. */
  readonly identity: string
  /** URL of the gateway's egress port; null: mesh_fetch is refused. */
  readonly egress: string | null
  readonly names: MeshNames
  /** Declared peers and hosts; those of SKILL.md files come on top. `*` leaves the decision to policy. */
  readonly peers: readonly string[]
  /** Null: the key is not there, so OpenClaw's own web_fetch is not held to it. */
  readonly hosts: readonly string[] | null
  /** The longest time that a tool waits for a result, in milliseconds. */
  readonly waitMs: number
  /** Life of egress tokens, in milliseconds; null: what the gateway gives. */
  readonly tokenTtlMs: number | null
  /** Where peers call this agent. */
  readonly listen: string
  /** By the name of the skill. */
  readonly serve: Readonly<Record<string, ServedSkill>>
  readonly relay: RelayConfig | null
}

/** Where they are not those of the certificate. */
export interface MeshNames {
  readonly trustDomain?: string
  readonly meshDomain?: string
  readonly gatewayName?: string
}

/** An agent of this OpenClaw, as a skill of the mesh. */
export interface ServedSkill {
  /** Which agent of this OpenClaw takes the turn. */
  readonly agent: string
  readonly description: string
  /** Tools of a turn, for callers that name none of their own. */
  readonly tools: readonly string[]
  readonly callers: readonly CallerRule[]
  /** Turns at once. */
  readonly concurrent: number
  /** The longest turn, in milliseconds. */
  readonly timeoutMs: number
}

/** `planner`, `globex/translator`, `globex/*` or `*`; the first that fits counts. */
export interface CallerRule {
  readonly caller: string
  /** Null: those of the skill. */
  readonly tools: readonly string[] | null
}

export interface RelayConfig {
  readonly listen: string
  /** Null: in the state directory. */
  readonly secretFile: string | null
}
