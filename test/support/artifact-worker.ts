/** One side of a large artifact in a process of its own, that reports its memory: `callee` makes it, `caller` reads it as a stream. */
import { createHash } from 'node:crypto'
import { createAgent, createSqliteTaskStore, silentLog } from '@clawmesh/agent-sdk'

export interface ArtifactWorkerOptions {
  readonly role: 'callee' | 'caller'
  readonly gateway: string
  readonly identity: string
  readonly listen: string
  readonly store: string
  readonly bytes: number
}

const options: ArtifactWorkerOptions = JSON.parse(process.argv[2] ?? '{}')
const { gateway, identity, bytes } = options
const CHUNK = Buffer.alloc(256 * 1024, 'a chunk of a large artifact')
let most = 0
setInterval(() => {
  most = Math.max(most, process.memoryUsage().rss)
}, 20).unref()

const agent = await createAgent({ gateway, identity, log: silentLog })
if (options.role === 'callee') {
  await agent.serve({
    listen: options.listen,
    taskStore: createSqliteTaskStore({ file: options.store }),
    skills: {
      async large(_task, ctx) {
        const before = process.memoryUsage().rss
        async function* chunks() {
          for (let at = 0; at < bytes; at += CHUNK.length) yield CHUNK
        }
        const { sha256 } = await ctx.artifact('large', chunks())
        return { sha256, grown: most - before }
      },
    },
  })
  process.send?.('ready')
} else {
  const before = process.memoryUsage().rss
  const delegation = agent.delegate('worker', { skill: 'large', artifacts: 'stream' })
  const hash = createHash('sha256')
  const began = performance.now()
  let read = 0
  for await (const event of delegation) {
    if (event.kind !== 'artifact') continue
    hash.update(event.data)
    read += event.data.length
  }
  const seconds = (performance.now() - began) / 1000
  const callee = (await delegation.result()).json()
  const sha256 = hash.digest('hex')
  process.send?.({ callee, caller: { sha256, read, seconds, grown: most - before } })
  await agent.close()
  process.disconnect()
}
