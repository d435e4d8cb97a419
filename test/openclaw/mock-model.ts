/**
 * A model that does as it is told: the OpenAI API on loopback, answered as server-sent events. A prompt names the tools to
 * call, one after another, and the model ends with what the last one answered:
 *
 *   CALL mesh_delegate {"peer":"researcher","skill":"ask","input":"CALL mesh_fetch {…}"} THEN CALL mesh_peers {}
 *
 * A prompt that names none is answered with `SAID: ` and the prompt. `LOOP mesh_delegate {…}` calls the tool again and again,
 * 30 times at most. It counts the results of tools since the prompt: OpenClaw adds messages of its own after them.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { isRecord } from '../../scripts/dev/message.ts'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'

export interface MockModel {
  /** What `models.providers.mock.baseUrl` is set to. */
  readonly baseUrl: string
  /** Requests so far, the oldest first. */
  readonly asked: readonly Asked[]
  close(): Promise<void>
}

export interface Asked {
  /** Names of the tools that the model was offered. */
  readonly tools: readonly string[]
  readonly system: string
  readonly prompt: string
  /** Text of each tool result since the prompt. */
  readonly results: readonly string[]
}

interface Call {
  readonly tool: string
  readonly args: string
}

const MOST_LOOPS = 30
/** Begins what OpenClaw adds to the messages of its user, as a message of the user. */
const INTERNAL = 'BEGIN_OPENCLAW_INTERNAL_CONTEXT'

export async function startMockModel(): Promise<MockModel> {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    answer(request, response, asked).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  })
  const port = await listenOnFreePort(server)
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    asked,
    close: () => closeServer(server),
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, asked: Asked[]) {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  if (request.method !== 'POST') {
    response.end('{"object":"list","data":[{"id":"mock","object":"model"}]}')
    return
  }
  const body: unknown = JSON.parse(Buffer.concat(chunks).toString())
  const question = readQuestion(body)
  asked.push(question)
  const call = nextCall(question)
  const delta =
    call === null
      ? { role: 'assistant', content: lastWords(question) }
      : {
          role: 'assistant',
          content: null,
          tool_calls: [
            {
              ...{ index: 0, id: `call_${asked.length}`, type: 'function' },
              function: { name: call.tool, arguments: call.args },
            },
          ],
        }
  const head = { id: `mock-${asked.length}`, object: 'chat.completion.chunk', model: 'mock' }
  const created = Math.floor(Date.now() / 1000)
  const chunk = (choices: readonly unknown[], more: object = {}) =>
    `data: ${JSON.stringify({ ...head, created, choices, ...more })}\n\n`
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(chunk([{ index: 0, delta, finish_reason: null }]))
  const finish_reason = call === null ? 'stop' : 'tool_calls'
  response.write(chunk([{ index: 0, delta: {}, finish_reason }]))
  const usage = { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 }
  response.end(`${chunk([], { usage })}data: [DONE]\n\n`)
}

function readQuestion(body: unknown): Asked {
  const messages = isRecord(body) && Array.isArray(body.messages) ? body.messages : []
  const tools = isRecord(body) && Array.isArray(body.tools) ? body.tools : []
  const said = messages.map((message: unknown) => ({
    role: isRecord(message) ? String(message.role) : '',
    text: isRecord(message) ? textOf(message.content) : '',
  }))
  const users = said.flatMap(({ role, text }, at) =>
    role === 'user' && !text.includes(INTERNAL) ? [{ text: wordsOf(text), at }] : [],
  )
  const last = users.findLast(({ text }) => /\b(?:CALL|LOOP) \w/.test(text))
  // a later message of the user that names no tool, with no tool result before it, is a prompt of its own
  const newest = users.at(-1)
  const calledSince = said.slice(last?.at ?? 0).some(({ role }) => role === 'tool')
  const ended = said.slice(last?.at ?? 0, newest?.at ?? 0).at(-1)?.role === 'assistant'
  const prompt = last === undefined || (ended && !calledSince) ? newest : last
  const system = said.filter(({ role }) => role === 'system' || role === 'developer')
  return {
    tools: tools.flatMap((tool: unknown) =>
      isRecord(tool) && isRecord(tool.function) ? [String(tool.function.name)] : [],
    ),
    system: system.map(({ text }) => text).join('\n'),
    prompt: prompt?.text ?? '',
    results: said
      .slice(prompt?.at ?? 0)
      .flatMap(({ role, text }) => (role === 'tool' ? [text] : [])),
  }
}

/** Without the time before it and the facts of the session after it, which OpenClaw adds. */
function wordsOf(text: string): string {
  return text.replace(/^\[[^\]\n]*\] /, '').replace(/\n\nRuntime: agent=.*$/s, '')
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content
    .map((part: unknown) => (isRecord(part) && typeof part.text === 'string' ? part.text : ''))
    .join('')
}

function nextCall({ prompt, results }: Asked): Call | null {
  // the one that comes first: the other may be part of what is handed on
  const [, kind, loop] = /\b(CALL|LOOP) (\w.*)/s.exec(prompt) ?? []
  if (kind === 'LOOP' && loop !== undefined)
    return results.length < MOST_LOOPS ? readCall(loop).call : null
  const calls: Call[] = []
  let rest = /\bCALL (\w.*)/s.exec(prompt)?.[1]
  while (rest !== undefined) {
    const read = readCall(rest)
    calls.push(read.call)
    rest = /^\s*THEN CALL (\w.*)/s.exec(read.rest)?.[1]
  }
  return calls[results.length] ?? null
}

/** `tool {json}` and what comes after it. */
function readCall(text: string): { readonly call: Call; readonly rest: string } {
  const [, tool = '', from = ''] = /^(\w+)\s*(.*)$/s.exec(text) ?? []
  if (!from.startsWith('{')) return { call: { tool, args: '{}' }, rest: from }
  const end = endOfJson(from)
  return { call: { tool, args: from.slice(0, end) }, rest: from.slice(end) }
}

function endOfJson(text: string): number {
  let depth = 0
  let quoted = false
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]
    if (quoted && char === '\\') at += 1
    else if (char === '"') quoted = !quoted
    else if (!quoted && char === '{') depth += 1
    else if (!quoted && char === '}') {
      depth -= 1
      if (depth === 0) return at + 1
    }
  }
  return text.length
}

function lastWords({ prompt, results }: Asked): string {
  const result = results.at(-1)
  return result === undefined ? `SAID: ${prompt.slice(0, 2_000)}` : `DONE: ${result}`
}
