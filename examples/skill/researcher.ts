/** The researcher: an agent with one skill. `node researcher.ts IDENTITY GATEWAY [LISTEN]` serves it until Ctrl-C. */
import { createAgent, type SkillWithOptions } from '@clawmesh/agent-sdk'

export const summarize: SkillWithOptions = {
  description: 'Keeps the first sentences of a text. Asks how many, unless `sentences` says it.',
  input: {
    type: 'object',
    properties: {
      text: { type: 'string', minLength: 1 },
      sentences: { type: 'integer', minimum: 1 },
    },
    required: ['text'],
    additionalProperties: false,
  },
  output: {
    type: 'object',
    properties: { sentences: { type: 'integer' }, words: { type: 'integer' } },
    required: ['sentences', 'words'],
    additionalProperties: false,
  },
  async run(task, ctx) {
    // the mesh has checked it by the schema above
    const { text, sentences }: { text: string; sentences?: number } = Object(task.json())
    const count = sentences ?? Number((await ctx.ask('How many sentences?')).text())
    if (!Number.isInteger(count) || count < 1) ctx.reject('that is no number of sentences')

    ctx.progress(0.5, 'reading')
    const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' })
    const all = [...segmenter.segment(text.replaceAll(/\s+/g, ' '))]
    const summary = all.slice(0, count).map(({ segment }) => segment.trim())
    await ctx.artifact('summary.txt', `${summary.join('\n')}\n`, { mediaType: 'text/plain' })
    return { sentences: summary.length, words: summary.join(' ').split(/\s+/).length }
  },
}

if (import.meta.main) {
  const [identity = '', gateway = '', listen = '127.0.0.1:7443'] = process.argv.slice(2)
  const agent = await createAgent({ identity, gateway })
  const serving = await agent.serve({ listen, skills: { summarize } })
  console.log(`serves summarize on port ${serving.address.port}`)
  const stop = () => agent.close()
  process.once('SIGINT', stop).once('SIGTERM', stop)
}
