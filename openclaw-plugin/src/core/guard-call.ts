/** Judges a call of a tool before it is made: undeclared peers and hosts, and tools that a peer was not given, go no further. */
import { judgePeer, judgeUrl } from '../declared/declarations.ts'
import type { Declarations } from '../declared/follow-declared.ts'
import type { OwnNames } from '../declared/names.ts'
import type { Turns } from '../inbound/turns.ts'
import type { GuardedCall } from './contract.ts'

export interface GuardOptions {
  readonly turns: Turns
  /** Null until the configuration could be read once. */
  readonly declarations: Declarations | null
  /** OpenClaw's own web_fetch is held to the declared hosts too. */
  readonly holdsWebFetch: boolean
  readonly own: OwnNames
}

export const TASK_ENDED =
  'CLAWMESH_TASK_ENDED: the task of the caller has ended. Do nothing more for it.'

/** Null when it may be made; else why not, for the model. */
export async function guardCall(call: GuardedCall, options: GuardOptions): Promise<string | null> {
  const { tool, params, sessionKey } = call
  const turn = options.turns.find(sessionKey ?? undefined)
  if (options.turns.isOver(sessionKey ?? undefined)) return TASK_ENDED
  if (turn !== null && !turn.tools.has(tool))
    return `CLAWMESH_TOOL_NOT_GIVEN: the caller of this task may not use ${JSON.stringify(tool.slice(0, 100))}. Go on without it.`
  const judge = judgeOf(tool, params, options)
  if (judge === null) return null
  // a skill may have been installed since: only what is refused is worth a look at the disk
  return judge(options.declarations?.current()) === null
    ? null
    : judge(await options.declarations?.refresh())
}

type Judge = (declared: ReturnType<Declarations['current']> | undefined) => string | null

const NOTHING = Object.freeze({ peers: new Map<string, never>(), hosts: new Map<string, never>() })

function judgeOf(tool: string, params: GuardedCall['params'], options: GuardOptions): Judge | null {
  const { peer, url } = params
  const fetches = tool === 'mesh_fetch' || (tool === 'web_fetch' && options.holdsWebFetch)
  if (fetches && typeof url === 'string') return (declared) => judgeUrl(declared ?? NOTHING, url)
  const asksPeer = tool === 'mesh_delegate' || tool === 'mesh_task'
  if (asksPeer && typeof peer === 'string')
    return (declared) => judgePeer(declared ?? NOTHING, peer, options.own)
  return null
}
