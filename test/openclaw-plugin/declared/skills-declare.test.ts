/** What SKILL.md files add to what the configuration declares, and who hears of it. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readWhole } from '@clawmesh/agent-sdk/mesh'
import { judgePeer, judgeUrl } from '../../../openclaw-plugin/src/declared/declarations.ts'
import { createDeclarations } from '../../../openclaw-plugin/src/declared/follow-declared.ts'
import { createNeedsLog } from '../../../openclaw-plugin/src/declared/needs-log.ts'

const own = { tenant: 'acme' }

describe('a skill that the agent itself has written', () => {
  let dir: string
  let nowMs = 0
  let said: string[]
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-skills-'))
    said = []
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  const write = async (name: string, clawmesh: object) => {
    await mkdir(join(dir, name), { recursive: true })
    const metadata = JSON.stringify({ clawmesh })
    await writeFile(join(dir, name, 'SKILL.md'), `---\nname: ${name}\nmetadata: ${metadata}\n---\n`)
  }
  const follow = () => {
    const needs = createNeedsLog()
    const log = {
      info: (_fields: object, message: string) => void said.push(`info ${message}`),
      warn: (_fields: object, message: string) => void said.push(`warn ${message}`),
    }
    return createDeclarations({
      ...{ config: { peers: ['writer'], hosts: ['known.example'] }, own, skillFolders: [dir] },
      read: readWhole,
      onChange(declared, faults) {
        for (const fault of faults) log.warn({}, fault)
        needs.tell(declared, log)
      },
      now: () => nowMs,
    })
  }
  const look = async (declarations: ReturnType<typeof follow>) => {
    nowMs += 10_000
    return declarations.refresh()
  }

  it('does not open everything by a wildcard, which is told', async () => {
    await write('greedy', { peers: ['*', 'globex/*'], hosts: ['*', '*.example.com', 'a.example'] })
    const declarations = follow()
    const declared = await look(declarations)
    declarations.close()
    for (const peer of ['researcher', 'globex/translator'])
      assert.match(String(judgePeer(declared, peer, own)), /NOT_DECLARED/)
    for (const url of ['https://evil.example/', 'https://b.example.com/'])
      assert.match(String(judgeUrl(declared, url)), /NOT_DECLARED/)
    assert.equal(judgeUrl(declared, 'https://a.example/'), null)
    const fault = said.find((line) => line.startsWith('warn'))
    assert.match(String(fault), /greedy.SKILL\.md: metadata\.clawmesh names "\*", .*does not count/)
  })

  it('adds nothing in silence: what is declared at first is told, and later what has come to it', async () => {
    await write('report', { peers: ['researcher'], hosts: ['known.example'] })
    const declarations = follow()
    await look(declarations)
    assert.deepEqual(said, ['info skills declare the peer acme/researcher (the skill report)'])
    await look(declarations)
    await write('fresh', { peers: ['researcher'], hosts: ['new.example'] })
    await look(declarations)
    declarations.close()
    assert.deepEqual(said.slice(1), [
      'warn skills declare more than before: the peer acme/researcher (the skill fresh, the skill report); the host new.example (the skill fresh)',
    ])
  })
})
