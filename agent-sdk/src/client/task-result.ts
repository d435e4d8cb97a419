/** What a completed task brought: its output, and the artifacts that it sent on the way. */
import { jsonOf, type Part, textOf } from '../model/part.ts'

/** A file that a task sent, whole and verified by its SHA-256. */
export interface Artifact {
  readonly name: string
  readonly mediaType: string
  readonly bytes: Uint8Array
  /** Verified. Lower-case hexadecimal. */
  readonly sha256: string
}

/**
 * The result of a completed task.
 *
 * @example
 * const result = await agent.delegate('researcher', { skill: 'report' }).result()
 * const report: unknown = result.json()
 * const chart = result.artifacts.get('chart.png')
 * console.log(report, chart?.bytes.length, chart?.sha256)
 */
export interface TaskResult {
  /** Id of the delegation. */
  readonly id: string
  readonly output: readonly Part[]
  readonly artifacts: ReadonlyMap<string, Artifact>
  /** All text parts of the output joined; empty when there is none. */
  text(): string
  /** The first JSON part of the output, or undefined. Whatever it is: the peer chose it, so check it. */
  json(): unknown
  /** The first bytes part of the output, or undefined. */
  bytes(): Uint8Array | undefined
}

export function createTaskResult(
  id: string,
  output: readonly Part[],
  artifacts: ReadonlyMap<string, Artifact>,
): TaskResult {
  return Object.freeze({
    id,
    output,
    artifacts,
    text: () => textOf(output),
    json: () => jsonOf(output),
    bytes: () => output.find((part) => part.kind === 'bytes')?.bytes,
  })
}
