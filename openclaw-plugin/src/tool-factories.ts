/** The tools of the mesh as OpenClaw takes them. They are made for each run, which says whose it is. */
import { TOOL_DEFINITIONS } from '@clawmesh/proto/tools'
import type { ToolCall } from './core/contract.ts'
import type {
  HostSchema,
  HostTool,
  HostToolContext,
  HostToolFactory,
  HostToolResult,
} from './host/openclaw-types.ts'
import type { Copies } from './process/copies.ts'

interface Definition {
  readonly name: ToolCall['tool']
  readonly description: string
  readonly inputSchema: HostSchema
}

/** Only turns that serve a peer have it. */
const ASK: Definition = {
  name: 'mesh_ask',
  description:
    'Ask the agent that gave you this task one question, and get its answer. Use it only if you cannot go on without.',
  inputSchema: {
    type: 'object',
    properties: { question: { type: 'string', description: 'the question', maxLength: 20_000 } },
    required: ['question'],
    additionalProperties: false,
  },
}

export function toolFactories(
  copies: () => Copies,
): readonly { readonly name: string; readonly factory: HostToolFactory }[] {
  return [...Object.values(TOOL_DEFINITIONS), ASK].map((definition) => ({
    name: definition.name,
    factory: (context) =>
      definition === ASK &&
      copies()
        .loaded()
        ?.servesIn(context.sessionKey ?? null) !== true
        ? null
        : createTool(definition, context, copies),
  }))
}

function createTool(
  { name, description, inputSchema }: Definition,
  { agentId, sessionKey, workspaceDir }: HostToolContext,
  copies: () => Copies,
): HostTool {
  return {
    ...{ name, label: name, description, parameters: inputSchema, catalogMode: 'direct-only' },
    async execute(toolCallId, params, signal, onUpdate) {
      const { mesh, traces } = copies()
      const traceparent = traces.take(toolCallId)
      const answer = await (await mesh()).run({
        ...{ tool: name, params, traceparent },
        agentId: agentId ?? null,
        sessionKey: sessionKey ?? null,
        workspaceDir: workspaceDir ?? null,
        signal: signal ?? null,
        onProgress: (note) => onUpdate?.(resultOf(note, {})),
      })
      return resultOf(answer.text, { ...answer.details, refused: answer.isError })
    },
  }
}

/** Below one key of its own: some names of details are OpenClaw's. */
function resultOf(text: string, clawmesh: Readonly<Record<string, unknown>>): HostToolResult {
  return { content: [{ type: 'text', text }], details: { clawmesh } }
}
