/** The guide on migration, section by section, on the stack: after each, who reaches what, and what the log tells of it. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isRecord } from '../../../scripts/dev/message.ts'
import {
  type GuideShell,
  type GuideStep,
  guideSections,
  openGuideShell,
} from '../../support/guide.ts'
import { waitFor } from '../../support/wait-for.ts'
import { OUTSIDE, type Stack } from './stack.ts'

const GUIDE = new URL('../../../docs/guides/migration.md', import.meta.url)
const REQUEST = new URL('request.mjs', import.meta.url)
/** Seen in the week, and not seen. */
const SEEN = 'http://api.github.com/'
const NEW = 'http://new.example.com/'

export function migration(stack: () => Stack): void {
  let sections: ReadonlyMap<string, readonly GuideStep[]>
  let shell: GuideShell
  const tokens = { 'bot-01': '', 'bot-02': '' }

  before(async () => {
    sections = guideSections(await readFile(GUIDE, 'utf8'))
    shell = await openGuideShell({
      cwd: stack().dir,
      env: await stack().shellEnv(),
      replaced: [
        ['compose.docker.yaml', 'compose.docker.yaml:test/agent.json'],
        ['9.9.9.9', OUTSIDE],
        // nobody has waited for six minutes here, and nobody else verifies these tokens
        ['keys rotate', 'keys rotate --force'],
      ],
    })
    await take('')
  })
  after(() => shell?.close())

  async function take(heading: string): Promise<readonly string[]> {
    return shell.take(sections.get(heading) ?? [])
  }

  async function answerTo(agent: keyof typeof tokens, url: string, token = tokens[agent]) {
    const answer = await stack().inside(await stack().id('agent'), REQUEST, { url, token })
    assert.ok(isRecord(answer))
    return answer
  }

  /** A change of policy takes a moment. */
  async function answers(agent: keyof typeof tokens, url: string, status: number): Promise<void> {
    await waitFor(`${status} for ${agent} at ${url}`, async () => {
      return (await answerTo(agent, url)).status === status
    })
  }

  it('audit only: what no rule names passes, and is recorded as what enforce would refuse', async () => {
    await take('1. Audit only')
    for (const agent of ['bot-01', 'bot-02'] as const) tokens[agent] = await stack().token(agent)
    await answers('bot-01', 'http://api.openai.com/v1/models', 200)
    await answers('bot-02', 'http://api.stripe.com/v1/charges', 200)
    const record = await waitFor('its record', async () =>
      (await stack().audit()).find(({ destination_host: host }) => host === 'api.stripe.com'),
    )
    assert.equal(record.action_allowed, true)
    assert.equal(record.mode, 'audit')
    assert.equal(record.reason, 'MESH_POLICY_NOT_ALLOWED')
  })

  it('an agent reaches the outside by both ways', () => take('2. Send the agents through it'))

  it('the policy from the log allows what was seen, for the agent of which it was seen', async () => {
    await take('3. A policy from the log')
    const text = await readFile(join(stack().dir, 'candidate/acme.json'), 'utf8')
    const { egress } = JSON.parse(text)
    const hosts = (agent: string) =>
      egress.agents[agent].allow.map((rule: unknown) => (isRecord(rule) ? rule.host : rule))
    assert.ok(hosts('bot-01').some((host: string) => host.startsWith('api.github.com')))
    assert.deepEqual(hosts('bot-02'), ['api.stripe.com:80'])
  })

  it('the canary is refused what it was not seen to need, with the token that it has, and nobody else', async () => {
    await take('4. One canary')
    await answers('bot-01', NEW, 403)
    await answers('bot-01', SEEN, 200)
    await answers('bot-02', NEW, 200)
  })

  it('then the fleet is', async () => {
    await take('5. The fleet')
    await answers('bot-02', NEW, 403)
    await answers('bot-02', 'http://api.stripe.com/v1/charges', 200)
    await answers('bot-01', SEEN, 200)
  })

  it('the old way is closed, and the gateway is the only one', async () => {
    await take('6. Close the old way')
    await answers('bot-01', SEEN, 200)
  })

  it('all of it is taken back, and done again', async () => {
    const back = sections.get('Back again') ?? []
    const again = back.findLastIndex(
      (step) => step.kind === 'command' && step.command.includes('curl'),
    )
    await shell.take(back.slice(0, again + 1))
    await answers('bot-02', NEW, 200)
    await shell.take(back.slice(again + 1))
    await answers('bot-02', NEW, 403)
  })

  it('what was issued before the rotation is worth nothing after it', async () => {
    const old = tokens['bot-01']
    const printed = await take('7. Rotate keys and tokens')
    assert.match(printed.join(''), /active/)
    await waitFor('the old key to be gone', async () => {
      const answer = await answerTo('bot-01', SEEN, old)
      return answer.status === 403 && String(answer.body).includes('MESH_TOKEN_KEY_UNKNOWN')
    })
    tokens['bot-01'] = await stack().token('bot-01')
    await answers('bot-01', SEEN, 200)
  })
}
