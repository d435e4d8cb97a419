import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readSkill, SKILL_NAME, skillText } from '../../../mesh-agent/src/skill/skill-text.ts'
import { runInProcess } from '../cli/command.ts'

describe('mesh-agent skill', function () {
  this.timeout(180_000)
  let home: string
  const run = (...args: string[]) =>
    runInProcess(['skill', ...args], { env: { HOME: home }, cwd: home })
  const fileOf = (...parts: string[]) => join(home, ...parts, SKILL_NAME, 'SKILL.md')
  const old = () => skillText('0.0.9').replace('you can do it yourself', 'you can')

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'clawmesh-skill-'))
  })
  afterEach(() => rm(home, { recursive: true, force: true }))

  it('is a file that each host can read', () => {
    const [, frontmatter = ''] = /^---\n([\s\S]*?)\n---\n\n# /.exec(skillText()) ?? []
    const lines = frontmatter.split('\n')
    // OpenClaw reads one line for each key; the standard bounds name and description
    assert.ok(lines.every((line) => /^[a-z]+: ./.test(line)))
    const [, description = ''] = /^description: (.*)$/m.exec(frontmatter) ?? []
    assert.ok(description.length <= 1024 && !description.includes(': '))
    assert.match(lines[0] ?? '', /^name: [a-z0-9-]{1,64}$/)
    assert.equal(typeof JSON.parse(/^metadata: (.*)$/m.exec(frontmatter)?.[1] ?? ''), 'object')
  })

  it('tells an old version of its own from what somebody changed', () => {
    assert.deepEqual(readSkill(skillText()), { state: 'current', version: '0.1.0' })
    assert.deepEqual(readSkill(skillText('0.0.9')), { state: 'outdated', version: '0.0.9' })
    assert.equal(readSkill(`${skillText('0.0.9')}\nMy own line.\n`).state, 'changed')
    assert.equal(readSkill(old()).state, old() === skillText('0.0.9') ? 'outdated' : 'changed')
    assert.deepEqual(readSkill('# mine\n'), { state: 'changed', version: null })
  })

  it('is put where the hosts look for it, and brought up to date', async () => {
    const first = await run('install')
    assert.equal(first.code, 0)
    const shared = fileOf('.agents', 'skills')
    const claude = fileOf('.claude', 'skills')
    assert.equal(await readFile(shared, 'utf8'), skillText())
    assert.equal(await readFile(claude, 'utf8'), skillText())
    assert.match((await run('install')).stdout, /^unchanged: .*\nunchanged: /)

    await writeFile(shared, skillText('0.0.9'))
    const listed = await run('list')
    assert.equal(listed.code, 1)
    assert.match(listed.stdout, /^outdated +\S+\.agents\S+ .*version 0\.0\.9$/m)
    assert.match(listed.stdout, /^missing +\S+\.gemini/m)
    assert.match(listed.stderr, /hint: mesh-agent skill install/)
    assert.match((await run('install')).stdout, /^updated: /)
    assert.equal(await readFile(shared, 'utf8'), skillText())
  })

  it('never overwrites what somebody changed, unless told', async () => {
    const file = fileOf('.agents', 'skills')
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, 'mine')
    const kept = await run('install', '--host', 'agents')
    assert.equal(kept.code, 1)
    assert.match(kept.stdout, /^kept: /)
    assert.match(kept.stderr, /left alone: .*\nmesh-agent: hint: .*--force/)
    assert.equal(await readFile(file, 'utf8'), 'mine')
    await run('install', '--host', 'agents', '--force')
    assert.equal(await readFile(file, 'utf8'), skillText())
  })

  it('follows no link to a file of somebody else', async () => {
    const target = join(home, 'target')
    await writeFile(target, skillText('0.0.9'))
    const file = fileOf('.claude', 'skills')
    await mkdir(dirname(file), { recursive: true })
    await symlink(target, file)
    assert.match((await run('install', '--host', 'claude')).stdout, /^kept: /)
    assert.equal(await readFile(target, 'utf8'), skillText('0.0.9'))
  })

  it('goes into a project, for the hosts that are named', async () => {
    const project = join(home, 'project')
    await mkdir(project)
    const { code } = await run(
      'install',
      '--project',
      project,
      '--host',
      'copilot',
      'openclaw',
      'codex',
    )
    assert.equal(code, 0)
    for (const parts of [['.github', 'skills'], ['skills'], ['.agents', 'skills']])
      assert.equal(await readFile(fileOf('project', ...parts), 'utf8'), skillText())
    assert.equal((await run('install', '--host', 'nobody')).code, 2)
    assert.equal((await run('show')).stdout, skillText())
  })
})
