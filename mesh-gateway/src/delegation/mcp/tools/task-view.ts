/** A task at a peer while a tool waits for it: where it stands, its open question, what it used, and how it ended. */
import type { Delegation, TaskEvent, TaskResult, TaskState } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { plainLineOf, questionText } from '@clawmesh/proto/tools'
import type { Progress, ToolCall } from './tool-call.ts'

export interface Question {
  readonly inputId: string
  readonly text: string
}

/** Names of amounts and of artifacts are the peer's to choose. */
const MAX_NAMES = 32

export class TaskView {
  readonly #delegation: Delegation
  readonly #usage = new Map<string, number>()
  readonly #artifacts = new Set<string>()
  skill: string
  state: TaskState = 'submitted'
  /** Null without an open one. */
  question: Question | null = null
  /** The peer has the task. */
  accepted = false
  /** Null while the task goes on. */
  result: TaskResult | null = null
  /** Why it ended without a result, or cannot be followed; null otherwise. */
  error: MeshError | null = null

  /** @param skill empty when it is not known */
  constructor(delegation: Delegation, skill: string) {
    this.#delegation = delegation
    this.skill = skill
  }

  get id(): string {
    return this.#delegation.id
  }

  get peer(): string {
    return this.#delegation.peer
  }

  get usage(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#usage)
  }

  get artifacts(): readonly string[] {
    return [...this.#artifacts]
  }

  /**
   * Follows it to its end, or to a question of the peer's.
   * @param answered the question that is answered already
   * @param onAccepted called once the peer has the task
   */
  async follow(
    onProgress: ToolCall['onProgress'],
    answered: string | null,
    onAccepted: () => void,
  ): Promise<void> {
    try {
      for await (const event of this.#delegation) {
        if (!this.accepted) onAccepted()
        this.#take(event, onProgress)
        const asked = this.question?.inputId
        if (asked !== undefined && asked !== answered) return
      }
      this.result = await this.#delegation.result()
    } catch (thrown) {
      this.error =
        thrown instanceof MeshError
          ? thrown
          : new MeshError('MESH_GATEWAY_INTERNAL', 'the tool failed', { cause: thrown })
    }
  }

  #take(event: TaskEvent, onProgress: ToolCall['onProgress']): void {
    this.accepted = true
    switch (event.kind) {
      case 'accepted':
        this.skill = event.skill
        if (this.state === 'submitted') this.state = 'working'
        break
      case 'status':
        this.state = event.state
        report(onProgress, { fraction: null, note: event.note })
        break
      case 'progress':
        report(onProgress, event)
        break
      case 'message':
        report(onProgress, { fraction: null, note: event.text })
        break
      case 'artifact':
        if (this.#artifacts.size < MAX_NAMES) this.#artifacts.add(plainLineOf(event.name))
        break
      case 'input-required':
        this.question = { inputId: event.inputId, text: questionText(event.question) }
        this.state = 'input-required'
        break
      case 'input-received':
        if (this.question?.inputId === event.inputId) this.question = null
        this.state = 'working'
        break
      case 'usage':
        this.#add(event.amounts)
        break
      case 'result':
        this.state = 'completed'
        break
      case 'failed':
        this.state = event.state
    }
  }

  #add(amounts: Readonly<Record<string, number>>): void {
    for (const [given, amount] of Object.entries(amounts)) {
      const name = plainLineOf(given, 64)
      if (!this.#usage.has(name) && this.#usage.size >= MAX_NAMES) continue
      this.#usage.set(name, (this.#usage.get(name) ?? 0) + amount)
    }
  }
}

function report(
  onProgress: ToolCall['onProgress'],
  { fraction, note: words }: { readonly fraction: number | null; readonly note: string },
): void {
  const note = plainLineOf(words)
  if (fraction !== null || note !== '') onProgress({ fraction, note } satisfies Progress)
}
