/** The SDKs of model providers take `agent.fetch` as their fetch: `npm run typecheck` compiles it, and here it runs. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import Anthropic from '@anthropic-ai/sdk'
import type { Agent, AgentFetch, TaskContext } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import OpenAI, { toFile } from 'openai'
import { type StandInEgress, startStandInEgress } from '../stand-in/egress-port.ts'

describe('SDKs of model providers', () => {
  let port: StandInEgress
  let fetch: AgentFetch
  let answer: (request: IncomingMessage, body: string, response: ServerResponse) => void
  before(async () => {
    port = await startStandInEgress(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      try {
        answer(request, Buffer.concat(chunks).toString(), response)
      } catch (error) {
        response.writeHead(400).end(String(error))
      }
    })
    fetch = (input, init) => port.client.fetch(input, init)
  })
  after(() => port.close())

  const json = (response: ServerResponse, body: unknown) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  const events = (response: ServerResponse, list: readonly (readonly [string, unknown])[]) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const [name, data] of list)
      response.write(`${name === '' ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`)
    response.end(list[0]?.[0] === '' ? 'data: [DONE]\n\n' : '')
  }

  it('take the fetch of an agent and of a task, as types', () => {
    const options = (agent: Agent, ctx: TaskContext) => [
      new OpenAI({ apiKey: 'k', fetch: agent.fetch }),
      new OpenAI({ apiKey: 'k', fetch: ctx.fetch }),
      new Anthropic({ apiKey: 'k', fetch: agent.fetch }),
      new Anthropic({ apiKey: 'k', fetch: ctx.fetch }),
    ]
    const whole: typeof globalThis.fetch = fetch
    assert.equal(typeof options, typeof whole)
  })

  for (const secure of [false, true])
    it(`OpenAI's: an answer, a stream and a file, over ${secure ? 'https' : 'http'}`, async () => {
      const base = secure ? `https://${port.secure}` : port.origin
      const client = new OpenAI({ apiKey: 'k', baseURL: `${base}/v1`, fetch, maxRetries: 0 })
      const messages = [{ role: 'user', content: 'hi' }] as const
      answer = (request, body, response) => {
        assert.equal(request.url, '/v1/chat/completions')
        assert.equal(request.headers.authorization, 'Bearer k')
        const delta = (content: string) => ({ choices: [{ index: 0, delta: { content } }] })
        if (JSON.parse(body).stream === true)
          events(response, [
            ['', delta('one ')],
            ['', delta('two')],
          ])
        else json(response, { choices: [{ index: 0, message: { content: 'whole' } }] })
      }
      const whole = await client.chat.completions.create({ model: 'm', messages: [...messages] })
      assert.equal(whole.choices[0]?.message.content, 'whole')
      const stream = await client.chat.completions.create({
        ...{ model: 'm', messages: [...messages], stream: true },
      })
      let text = ''
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
      assert.equal(text, 'one two')

      let sent = ''
      answer = (_, body, response) => {
        sent = body
        json(response, { id: 'file-1' })
      }
      const file = await toFile(Buffer.from('{"a":1}\n'), 'batch.jsonl')
      assert.equal((await client.files.create({ file, purpose: 'batch' })).id, 'file-1')
      assert.match(sent, /name="file"; filename="batch\.jsonl"[\s\S]*\{"a":1\}\n/)
    })

  for (const secure of [false, true])
    it(`Anthropic's: an answer, a stream and its end, over ${secure ? 'https' : 'http'}`, async () => {
      const base = secure ? `https://${port.secure}` : port.origin
      const client = new Anthropic({ apiKey: 'k', baseURL: base, fetch, maxRetries: 0 })
      const asked = {
        ...{ model: 'm', max_tokens: 10 },
        messages: [{ role: 'user' as const, content: 'hi' }],
      }
      const message = { id: 'm', type: 'message', role: 'assistant', model: 'm', content: [] }
      const usage = { input_tokens: 1, output_tokens: 1 }
      const delta = (text: string) => ({
        ...{ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
      })
      answer = (request, body, response) => {
        assert.equal(request.url, '/v1/messages')
        assert.equal(request.headers.authorization, 'Bearer k')
        if (JSON.parse(body).stream !== true)
          return json(response, { ...message, content: [{ type: 'text', text: 'whole' }], usage })
        return events(response, [
          ['message_start', { type: 'message_start', message: { ...message, usage } }],
          [
            'content_block_start',
            { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
          ],
          ['content_block_delta', delta('one ')],
          ['content_block_delta', delta('two')],
          ['content_block_stop', { type: 'content_block_stop', index: 0 }],
          ['message_delta', { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage }],
          ['message_stop', { type: 'message_stop' }],
        ])
      }
      const whole = await client.messages.create(asked)
      assert.deepEqual(whole.content[0], { type: 'text', text: 'whole' })
      assert.equal(await client.messages.stream(asked).finalText(), 'one two')

      let closed = false
      answer = (request, _, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(`event: content_block_delta\ndata: ${JSON.stringify(delta('x'))}\n\n`)
        request.socket.once('close', () => {
          closed = true
        })
      }
      const stream = await client.messages.create({ ...asked, stream: true })
      for await (const _ of stream) stream.controller.abort()
      while (!closed) await new Promise(setImmediate)
    })

  it('a refusal of the gateway is the cause of their error', async () => {
    const refusing = async () => {
      throw new MeshError('MESH_POLICY_NOT_ALLOWED', 'no rule allows it')
    }
    const options = { apiKey: 'k', fetch: refusing, maxRetries: 0 }
    const isRefused = (error: Error) => {
      assert.ok(error.cause instanceof MeshError)
      assert.equal(error.cause.code, 'MESH_POLICY_NOT_ALLOWED')
      return true
    }
    await assert.rejects(Promise.resolve(new OpenAI(options).models.list()), isRefused)
    await assert.rejects(Promise.resolve(new Anthropic(options).models.list()), isRefused)
  })
})
