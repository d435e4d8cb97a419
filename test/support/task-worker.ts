/**
 * One party of a delegation in a process of its own, to be killed: `callee` serves skills on a task store in a file,
 * `caller` gives tasks under keys and writes down every event it sees. What they write down survives them.
 */
import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAgent, createSqliteTaskStore, silentLog, type TaskEvent } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'

export interface WorkerOptions {
  readonly role: 'callee' | 'caller'
  readonly gateway: string
  readonly identity: string
  /** Where it writes down what happened, a line of JSON each. */
  readonly ledger: string
  readonly listen: string
  readonly store: string
  readonly tasks: readonly GivenTask[]
}

export interface GivenTask {
  readonly key: string
  readonly skill: string
}

export const STEPS = 12
export const ARTIFACT_BYTES = 2_500_000

const options: WorkerOptions = JSON.parse(process.argv[2] ?? '{}')
const { gateway, identity } = options
const note = (line: object) =>
  appendFileSync(options.ledger, `${JSON.stringify({ pid: process.pid, ...line })}\n`)

if (options.role === 'callee') await beCallee()
if (options.role === 'caller') await beCaller()

async function beCallee(): Promise<void> {
  const agent = await createAgent({ gateway, identity, log: silentLog })
  const step = (task: { labels: Readonly<Record<string, string>> }, i: number) =>
    `${task.labels.key} ${i}`
  const pause = () => sleep(10 + Math.random() * 90)
  await agent.serve({
    listen: options.listen,
    taskStore: createSqliteTaskStore({ file: options.store }),
    heartbeatMs: 500,
    // longer than any of them takes to come back, on a machine that has much else to do
    orphanGraceMs: 600_000,
    skills: {
      async once(task, ctx) {
        note({ ran: task.labels.key, id: task.id })
        for (let i = 0; i < STEPS; i += 1) {
          ctx.message(step(task, i))
          await pause()
        }
        return task.text()
      },
      async gives(_task, ctx) {
        await ctx.delegate('helper', { skill: 'waits' }).result()
      },
      resumes: {
        resume: true,
        async run(task, ctx) {
          const saved = ctx.saved
          const from = typeof saved === 'number' ? saved : 0
          note({ ran: task.labels.key, id: task.id, resumed: ctx.resumed, from })
          for (let i = from; i < STEPS; i += 1) {
            ctx.message(step(task, i))
            await ctx.checkpoint(i + 1)
            await pause()
          }
          async function* bytes() {
            for (let at = 0; at < ARTIFACT_BYTES; at += 100_000) {
              yield Buffer.alloc(100_000, at / 100_000)
              await pause()
            }
          }
          const { sha256 } = await ctx.artifact('bytes', bytes())
          const answer = await ctx.ask('go on?')
          return `${sha256} ${answer.text()}`
        },
      },
    },
  })
  process.send?.('ready')
}

async function beCaller(): Promise<void> {
  const agent = await createAgent({ gateway, identity, log: silentLog })
  const give = async ({ key, skill }: GivenTask) => {
    const delegation = agent.delegate('worker', {
      ...{ skill, input: key, idempotencyKey: key, labels: { key } },
    })
    try {
      for await (const event of delegation) {
        note({ key, id: event.id, seq: event.seq, kind: event.kind, ...gist(event) })
        if (event.kind === 'input-required') await delegation.sendInput(`yes ${key}`, event.inputId)
      }
      note({
        key,
        id: delegation.id,
        outcome: 'completed',
        text: (await delegation.result()).text(),
      })
    } catch (error) {
      const code = error instanceof MeshError ? error.code : String(error)
      note({ key, id: delegation.id, outcome: code })
    }
  }
  process.send?.('ready')
  await Promise.all(options.tasks.map(give))
  await agent.close()
  process.send?.('done')
  process.disconnect()
}

function gist(event: TaskEvent): object {
  const { time: _time, ...rest } = event
  const text = event.kind === 'message' ? { text: event.text } : {}
  return { ...text, hash: createHash('sha256').update(JSON.stringify(rest)).digest('hex') }
}
