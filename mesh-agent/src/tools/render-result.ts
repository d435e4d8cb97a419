/** A task's result as a model reads it: one marked block of bounded length, and the rest as files of the workspace. */
import type { TaskResult } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import {
  boundedText,
  completedResult,
  outputOf,
  plainLineOf,
  type ToolResult,
} from '@clawmesh/proto/tools'
import { nameForType } from './workspace/file-name.ts'
import { createResultFolder, type ResultFolder } from './workspace/result-folder.ts'

export interface RenderOptions {
  /** Full name. */
  readonly peer: string
  readonly skill: string
  readonly usage: Readonly<Record<string, number>>
  /** Undefined: nothing is stored. */
  readonly workspaceDir: string | undefined
  readonly maxTextLength: number
  readonly maxFileBytes: number
  /** Of files that could not be stored. */
  onFault(error: MeshError): void
}

/** A file of the workspace, as `details.files` names it. */
interface ResultFile {
  readonly path: string
  readonly bytes: number
  /** The peer's own name for it. */
  readonly name: string
  readonly media_type: string
  readonly sha256?: string
}

export async function renderResult(
  result: TaskResult,
  options: RenderOptions,
): Promise<ToolResult> {
  const { peer, skill, usage, maxTextLength } = options
  const { id, output } = result
  const files = await storeFiles(result, options)
  const text = boundedText(output, maxTextLength)
  if (text.cut) await files.add('result.txt', 'text/plain', text.whole)
  const path = files.at('result.txt')
  const sentences = [
    ...(text.cut ? [cutSentence(text.whole.length, maxTextLength, path)] : []),
    ...files.sentences(),
  ]
  const task = { id, peer, skill, usage, output: outputOf(output, maxTextLength) }
  return completedResult(task, text, { sentences, lines: files.lines(), files: files.stored })
}

function cutSentence(length: number, kept: number, path: string | null): string {
  const rest =
    path === null ? 'there is no workspace to keep the rest in' : `all of it is in ${path}`
  return `Its text is cut after ${kept} of ${length} characters: ${rest}.`
}

interface Files {
  readonly stored: readonly ResultFile[]
  add(name: string, mediaType: string, content: Uint8Array | string, sha256?: string): Promise<void>
  /** Where a name of ours is; null when it is nowhere. */
  at(name: string): string | null
  /** In our words alone. */
  sentences(): string[]
  /** With the words of the peer: for the marked block. */
  lines(): string[]
}

async function storeFiles(result: TaskResult, options: RenderOptions): Promise<Files> {
  const { workspaceDir, maxFileBytes, onFault } = options
  const folder: ResultFolder | null =
    workspaceDir === undefined ? null : createResultFolder(workspaceDir, result.id, maxFileBytes)
  const stored: ResultFile[] = []
  const left: string[] = []
  let fault: MeshError | null = null
  const add: Files['add'] = async (name, mediaType, content, sha256) => {
    const about = { name: plainLineOf(name), media_type: plainLineOf(mediaType, 100) }
    if (folder === null || fault !== null) {
      left.push(about.name)
      return
    }
    try {
      const file = await folder.store(name, content)
      stored.push({ ...file, ...about, ...(sha256 === undefined ? {} : { sha256 }) })
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      left.push(about.name)
      // a disk that is full stays full
      fault = error
      onFault(error)
    }
  }
  for (const [index, part] of result.output.entries())
    if (part.kind === 'bytes') {
      const type = part.mediaType ?? 'application/octet-stream'
      await add(nameForType(`output-${index + 1}`, type), type, part.bytes)
    }
  for (const { name, mediaType, bytes, sha256 } of result.artifacts.values())
    await add(name, mediaType, bytes, sha256)

  return {
    stored,
    add,
    at: (name) => stored.find((file) => file.name === name)?.path ?? null,
    sentences() {
      const kept = stored.length === 0 ? [] : [`${filesIn(stored.length)} in ${folder?.path}/.`]
      const why = fault?.code ?? 'there is no workspace to keep them in'
      return left.length === 0 ? kept : [...kept, `${filesIn(left.length)} not kept: ${why}.`]
    },
    lines() {
      const all = [
        ...stored.map(
          ({ path, name, media_type, bytes }) =>
            `file ${path}: ${name}, ${media_type}, ${bytes} bytes`,
        ),
        ...left.map((name) => `file not kept: ${name}`),
      ]
      return all.length === 0 ? [] : ['', ...all.slice(0, 100)]
    },
  }
}

function filesIn(count: number): string {
  return count === 1 ? 'One file is' : `${count} files are`
}
