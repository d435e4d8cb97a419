/**
 * The researcher: an agent with one skill, `read`. It fetches the document that it is asked to read through the egress
 * port, under its own token and policy, and tells what is in it. `researcher.ts IDENTITY GATEWAY EGRESS LISTEN`.
 */
import { createAgent, type Skill } from '@clawmesh/agent-sdk'
import { createAgentLog } from './agent-log.ts'
import { linkToParent } from './child-link.ts'
import { analyse, MAX_DOCUMENT_BYTES, NotText } from './document/analyse.ts'

const [identity = '', gateway = '', egress = '', listen = ''] = process.argv.slice(2)

const read: Skill = async (task, ctx) => {
  const url = task.text()
  if (URL.parse(url) === null) ctx.reject('the input is not a URL')
  ctx.progress(0.1, 'asking the gateway for the document')
  const response = await ctx.fetch(url)
  if (!response.ok) ctx.reject(`the document cannot be had: HTTP ${response.status}`)
  const length = Number(response.headers.get('content-length') ?? 0)
  const bytes = await readBounded(response.body, (received) => {
    const part = length > 0 ? Math.min(1, received / length) : 0.5
    ctx.progress(0.2 + 0.5 * part, `${received} bytes received`)
  })
  ctx.progress(0.8, 'reading')
  try {
    const analysis = analyse({
      url: response.url === '' ? url : response.url,
      contentType: response.headers.get('content-type') ?? '',
      bytes,
    })
    ctx.progress(1, 'read')
    return analysis
  } catch (error) {
    if (error instanceof NotText) ctx.reject(`the document cannot be read: ${error.message}`)
    throw error
  }
}

/** At most one byte more than is analysed, so that it shows that there was more. */
async function readBounded(
  body: AsyncIterable<Uint8Array> | null,
  onChunk: (received: number) => void,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let received = 0
  let told = 0
  // leaving the loop early ends the transfer
  for await (const chunk of body ?? []) {
    chunks.push(chunk)
    received += chunk.length
    if (received - told >= MAX_DOCUMENT_BYTES / 8 || told === 0) {
      told = received
      onChunk(received)
    }
    if (received > MAX_DOCUMENT_BYTES) break
  }
  return Buffer.concat(chunks).subarray(0, MAX_DOCUMENT_BYTES + 1)
}

const agent = await createAgent({
  ...{ gateway, identity, egress },
  log: createAgentLog(process.stderr),
})
const serving = await agent.serve({ skills: { read }, listen })
linkToParent({
  async stop() {
    await serving.close()
    await agent.close()
  },
}).send({ kind: 'ready', port: serving.address.port })
