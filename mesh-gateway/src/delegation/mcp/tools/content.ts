/** What a model gives as input or answer: a text, or JSON. */
import type { Part } from '@clawmesh/agent-sdk/mesh'

export function contentOf(value: unknown): readonly Part[] {
  return typeof value === 'string'
    ? [{ kind: 'text', text: value }]
    : [{ kind: 'json', json: value }]
}
