import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Log } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import {
  decideEgress,
  openPolicyStore,
  type PolicySnapshot,
  type PolicyStore,
} from '../../../mesh-gateway/src/policy/index.ts'
import { makeNamedPipe, needNamedPipes } from '../../support/named-pipe.ts'

const allowing = (...hosts: string[]) =>
  JSON.stringify({ tenant: 'acme', egress: { allow: hosts } })

describe('a policy store', () => {
  const dirs: string[] = []
  const stores: PolicyStore[] = []
  const warnings: string[] = []
  const said: string[] = []
  const reloads: [ok: boolean, generation: number][] = []
  let wake: (() => void)[] = []
  let broken: readonly string[] = []

  function happened(): void {
    const waiting = wake
    wake = []
    for (const go of waiting) go()
  }
  const log: Log = {
    debug() {},
    info(_fields, message) {
      said.push(message)
      happened()
    },
    warn(_fields, message) {
      warnings.push(message)
      happened()
    },
    error(_fields, message) {
      warnings.push(message)
      happened()
    },
  }
  const metrics = {
    reload(what: string, ok: boolean, generation: number) {
      assert.equal(what, 'policy')
      reloads.push([ok, generation])
    },
    brokenPolicy(files: readonly string[]) {
      broken = files
    },
  }

  /** Whole at once, so that the number of warnings does not depend on the machine. */
  async function put(file: string, text: string): Promise<void> {
    const draft = path.join(path.dirname(file), '.draft')
    await writeFile(draft, text)
    await rename(draft, file)
  }
  async function until(test: () => boolean): Promise<void> {
    while (!test()) await new Promise<void>((resolve) => wake.push(resolve))
  }
  async function directory(): Promise<string> {
    const dir = await mkdtemp(path.join(tmpdir(), 'policy-'))
    dirs.push(dir)
    return dir
  }
  async function open(dir: string, pollMs = 60_000): Promise<PolicyStore> {
    const store = await openPolicyStore({ dir, log, metrics, pollMs, debounceMs: 20 })
    store.onChange(happened)
    stores.push(store)
    return store
  }
  function allows(policy: PolicySnapshot, host: string): boolean {
    const agent = { tenant: 'acme', agent: 'bot' }
    const question = { agent, host, port: 443, request: null, allowedDestinations: [host] }
    return decideEgress(question, policy).action === 'allow'
  }

  beforeEach(() => {
    warnings.length = 0
    reloads.length = 0
  })
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()))
    await Promise.all(dirs.splice(0).map((dir) => rm(dir, { recursive: true })))
  })

  it('opens a directory that is absent, allows nothing, says so, and takes up policy when it comes', async () => {
    const dir = path.join(await directory(), 'policy')
    const store = await open(dir)
    assert.equal(store.readiness().ready, false)
    assert.match(store.readiness().reason ?? '', /nothing is allowed/)
    assert.equal(allows(store.current(), 'a.test'), false)
    await mkdir(dir)
    await writeFile(path.join(dir, 'acme.json'), allowing('a.test'))
    await until(() => allows(store.current(), 'a.test'))
    assert.deepEqual(store.readiness(), { ready: true, reason: null })
  })

  it('reads anew when it is asked to, and says so once that is in force or a problem', async () => {
    const dir = await directory()
    await put(path.join(dir, 'acme.json'), allowing('a.test'))
    // nothing but the request makes it read so soon
    const store = await openPolicyStore({ dir, log, metrics, pollMs: 60_000, debounceMs: 1_000 })
    stores.push(store)
    await put(path.join(dir, 'acme.json'), allowing('b.test'))
    await store.reload()
    assert.equal(allows(store.current(), 'b.test'), true)
    await put(path.join(dir, 'globex.json'), '{')
    await store.reload()
    assert.deepEqual(
      store.problems().map(({ file }) => file),
      ['globex.json'],
    )
    await rm(path.join(dir, 'globex.json'))
    await Promise.all([store.reload(), store.reload()])
    assert.deepEqual(store.problems(), [])
  })

  it('opens an empty directory, and allows nothing', async () => {
    const dir = await directory()
    await writeFile(path.join(dir, 'README.md'), 'not policy')
    await writeFile(path.join(dir, '.acme.json.swp'), 'not policy')
    const store = await open(dir)
    assert.equal(store.readiness().ready, false)
    assert.equal(allows(store.current(), 'a.test'), false)
  })

  it('does not open when _global.json is broken, and names every fault of every file', async () => {
    const dir = await directory()
    await writeFile(path.join(dir, '_global.json'), '{ "tenant": "acme" }')
    await writeFile(path.join(dir, 'acme.json'), '{ "tenant": "globex", "mod": 1 }')
    await writeFile(path.join(dir, 'globex.json'), '{')
    await mkdir(path.join(dir, 'initech.json'))
    await writeFile(path.join(dir, 'hooli.json'), ' '.repeat(1024 * 1024 + 1))
    await assert.rejects(open(dir), (error) => {
      assert.ok(error instanceof MeshError)
      assert.equal(error.code, 'MESH_POLICY_INVALID')
      for (const part of [
        '6 faults in 5 files',
        '_global.json:1:3 #/tenant: unknown key',
        'acme.json:1:3 #/tenant: must be the name of the file',
        'acme.json:1:23 #/mod: unknown key; did you mean mode',
        'globex.json:1:2: expected a key',
        'initech.json: is not a file',
        'hooli.json: is larger than 1 MiB',
      ])
        assert.ok(error.message.includes(part), `${part}\n${error.message}`)
      return true
    })
  })

  it('sees files change, appear and go, and swaps all of them as one generation', async () => {
    const dir = await directory()
    await writeFile(path.join(dir, 'acme.json'), allowing('a.test'))
    const store = await open(dir)
    assert.equal(store.current().generation, 1)
    const before = store.current()
    await Promise.all([
      writeFile(path.join(dir, 'acme.json'), allowing('b.test')),
      writeFile(path.join(dir, 'globex.json'), '{ "tenant": "globex" }'),
    ])
    await until(() => allows(store.current(), 'b.test') && store.current().tenants.has('globex'))
    const globex = store.current().tenants.get('globex')
    await put(path.join(dir, 'acme.json'), allowing('b.test', 'c.test'))
    await until(() => allows(store.current(), 'c.test'))
    assert.equal(store.current().tenants.get('globex'), globex, 'what did not change is kept')
    assert.ok(allows(before, 'a.test'), 'a snapshot that somebody holds does not change')
    assert.equal(allows(store.current(), 'a.test'), false)
    await unlink(path.join(dir, 'acme.json'))
    await until(() => !store.current().tenants.has('acme'))
    assert.equal(allows(store.current(), 'b.test'), false)
    assert.deepEqual(reloads.at(-1), [true, store.current().generation])
  })

  it('keeps the last good one of a broken file, takes changes of all others, and warns once', async () => {
    const dir = await directory()
    const acme = path.join(dir, 'acme.json')
    await put(acme, allowing('a.test'))
    await put(path.join(dir, 'globex.json'), '{ "tenant": "globex" }')
    await put(path.join(dir, '_global.json'), '{}')
    const store = await open(dir, 15)
    await put(acme, '{ "tenant": "acm')
    await until(() => warnings.length === 1)
    assert.match(
      warnings[0] ?? '',
      /of acme\.json the last good one stays\..*acme\.json:1:17 #\/tenant: the text ends within a string/s,
    )
    assert.deepEqual(broken, ['acme.json'])
    assert.deepEqual(
      store.problems().map(({ file, kept }) => [file, kept]),
      [['acme.json', true]],
    )
    assert.equal(store.problem()?.code, 'MESH_POLICY_INVALID')
    assert.deepEqual(store.readiness(), { ready: true, reason: null })
    assert.ok(allows(store.current(), 'a.test'))
    assert.equal(store.current().generation, 1)

    const mode = '{ "tenant": "globex", "mode": "audit" }'
    await put(path.join(dir, 'globex.json'), mode)
    await until(() => store.current().generation === 2)
    assert.equal(store.current().tenants.get('globex')?.egress.others.mode, 'audit')
    assert.ok(allows(store.current(), 'a.test'))
    await put(path.join(dir, '_global.json'), '{ "egress": { "deny": ["a.test"] } }')
    await until(() => store.current().generation === 3)
    assert.equal(allows(store.current(), 'a.test'), false, 'a global deny holds over a stale file')

    await put(acme, allowing('b.test'))
    await until(() => store.problem() === null)
    assert.ok(allows(store.current(), 'b.test'))
    assert.deepEqual(broken, [])
    assert.equal(warnings.length, 1)
    assert.deepEqual(reloads, [
      [true, 1],
      [false, 1],
      [false, 2],
      [false, 3],
      [true, 4],
    ])
  })

  it('opens with a broken file of a tenant, which is allowed nothing until it is mended', async () => {
    const dir = await directory()
    await put(path.join(dir, 'acme.json'), '{')
    await put(path.join(dir, 'globex.json'), '{ "tenant": "globex" }')
    const store = await open(dir)
    assert.deepEqual(
      store.problems().map(({ file, kept }) => [file, kept]),
      [['acme.json', false]],
    )
    assert.match(warnings.join(), /acme\.json was never good, and allows nothing/)
    assert.equal(store.readiness().ready, true)
    assert.ok(store.current().tenants.has('globex'))
    assert.deepEqual([...store.current().closed], ['acme'])
    assert.equal(allows(store.current(), 'a.test'), false)
    await put(path.join(dir, 'acme.json'), allowing('a.test'))
    await until(() => allows(store.current(), 'a.test'))
    assert.equal(store.current().closed.size, 0)
    assert.deepEqual(store.problems(), [])
  })

  it('keeps the last good _global.json while that is broken, and takes changes of tenants', async () => {
    const dir = await directory()
    await put(path.join(dir, 'acme.json'), allowing('a.test'))
    await put(path.join(dir, '_global.json'), '{ "egress": { "deny": ["denied.test"] } }')
    const store = await open(dir)
    await put(path.join(dir, '_global.json'), '{ "egress": { "deny": [')
    await until(() => store.problems().length === 1)
    await put(path.join(dir, 'acme.json'), allowing('b.test', 'denied.test'))
    await until(() => allows(store.current(), 'b.test'))
    assert.equal(allows(store.current(), 'denied.test'), false)
    assert.deepEqual(
      store.problems().map(({ file, kept }) => [file, kept]),
      [['_global.json', true]],
    )
  })

  it('takes changes beside a file that never holds still, and that file too in the end', async () => {
    const dir = await directory()
    const acme = path.join(dir, 'acme.json')
    await put(acme, allowing('a.test'))
    await put(path.join(dir, 'globex.json'), '{ "tenant": "globex" }')
    const store = await open(dir, 10)
    let writing = true
    const restless = (async () => {
      for (let turn = 0; writing; turn += 1) await put(acme, allowing('a.test', `h${turn}.test`))
    })()
    await writeFile(path.join(dir, 'initech.json'), '{ "tenant": "initech" }')
    await until(() => store.current().tenants.has('initech'))
    const { generation } = store.current()
    await until(() => store.current().generation > generation)
    writing = false
    await restless
  })

  it('leaves a named pipe and a file that is too large alone, and goes on with the others', async function () {
    needNamedPipes(this)
    const dir = await directory()
    await put(path.join(dir, 'acme.json'), allowing('a.test'))
    await put(path.join(dir, 'globex.json'), '{ "tenant": "globex" }')
    const store = await open(dir, 20)
    await unlink(path.join(dir, 'acme.json'))
    makeNamedPipe(path.join(dir, 'acme.json'))
    await put(path.join(dir, 'globex.json'), ' '.repeat(1024 * 1024 + 1))
    await put(path.join(dir, 'initech.json'), '{ "tenant": "initech" }')
    await until(() => store.current().tenants.has('initech'))
    await until(() => store.problems().length === 2)
    assert.deepEqual(
      store.problems().map(({ file, kept }) => [file, kept]),
      [
        ['acme.json', true],
        ['globex.json', true],
      ],
    )
    assert.ok(allows(store.current(), 'a.test'))
  })

  it('gives up a file that takes too long to parse, and tries it again later', async () => {
    const dir = await directory()
    // many times a millisecond on any machine
    const allow = Array.from({ length: 40_000 }, (_, index) => `h${index}.test`)
    const text = JSON.stringify({ tenant: 'acme', egress: { allow } })
    await put(path.join(dir, 'acme.json'), text)
    const parser = { fileMs: 1, smallBytes: 0 }
    const store = await openPolicyStore({ dir, log, metrics, pollMs: 60_000, parser })
    stores.push(store)
    const [problem] = store.problems()
    assert.equal(problem?.file, 'acme.json')
    assert.match(problem?.faults[0]?.message ?? '', /was not parsed within/)
    assert.equal(store.readiness().ready, false)
  })

  it('warns of a tenant whose file has gone, and says which file is good again while others are broken', async () => {
    const dir = await directory()
    said.length = 0
    const files = ['acme', 'globex', 'initech'].map((name) => path.join(dir, `${name}.json`))
    const [acme = '', globex = '', initech = ''] = files
    const good = (tenant: string) => JSON.stringify({ tenant })
    await put(acme, allowing('a.test'))
    await put(globex, good('globex'))
    await put(initech, good('initech'))
    const store = await open(dir)
    await put(globex, '{')
    await put(acme, '{')
    await until(() => store.problems().length === 2)
    await put(acme, allowing('a.test'))
    await until(() => said.includes('policy: acme.json is good again'))
    await put(globex, good('globex'))
    await until(() => said.includes('policy: every file is good again'))
    await unlink(initech)
    const gone = 'policy: initech.json has gone; nothing is allowed to its tenant any more'
    await until(() => warnings.includes(gone))
    assert.equal(store.current().tenants.has('initech'), false)
  })

  it('is good again when the broken file is put back as it was', async () => {
    const dir = await directory()
    const file = path.join(dir, 'acme.json')
    await put(file, allowing('a.test'))
    const store = await open(dir)
    await put(file, '{}')
    await until(() => store.problem() !== null)
    await put(file, allowing('a.test'))
    await until(() => store.problem() === null)
    assert.equal(store.current().generation, 1)
  })

  it('never publishes half of a file that is written in pieces', async () => {
    const dir = await directory()
    const file = path.join(dir, 'acme.json')
    await writeFile(file, allowing('a.test'))
    const store = await open(dir, 10)
    const text = allowing('a.test', ...Array.from({ length: 50 }, (_, i) => `h${i}.test`))
    store.onChange((policy) => assert.ok(allows(policy, 'a.test')))
    for (let end = 0; end <= text.length; end += 100) await writeFile(file, text.slice(0, end))
    await writeFile(file, text)
    await until(() => allows(store.current(), 'h49.test'))
    assert.equal(store.current().generation, 2)
  })

  it('keeps the last good one when the directory goes, and empties when it is emptied', async () => {
    const parent = await directory()
    const dir = path.join(parent, 'policy')
    await mkdir(dir)
    await writeFile(path.join(dir, 'acme.json'), allowing('a.test'))
    const store = await open(dir)
    await rename(dir, path.join(parent, 'elsewhere'))
    await until(() => store.problem() !== null)
    assert.match(store.problem()?.message ?? '', /does not exist/)
    assert.ok(allows(store.current(), 'a.test'))
    await rename(path.join(parent, 'elsewhere'), dir)
    await until(() => store.problem() === null)
    await unlink(path.join(dir, 'acme.json'))
    await until(() => !store.readiness().ready)
    assert.equal(allows(store.current(), 'a.test'), false)
  })

  it('keeps the deny rules of _global.json when that file vanishes, until it is made empty', async () => {
    const dir = await directory()
    await writeFile(path.join(dir, 'acme.json'), allowing('a.test'))
    await writeFile(path.join(dir, '_global.json'), '{ "egress": { "deny": ["a.test"] } }')
    const store = await open(dir)
    await unlink(path.join(dir, '_global.json'))
    await until(() => store.problem() !== null)
    assert.match(store.problem()?.message ?? '', /_global\.json: has gone/)
    assert.equal(allows(store.current(), 'a.test'), false)
    await writeFile(path.join(dir, '_global.json'), '{}')
    await until(() => store.problem() === null)
    assert.ok(allows(store.current(), 'a.test'))
  })

  it('follows the ..data link of Kubernetes', async () => {
    const dir = await directory()
    const release = async (name: string, host: string) => {
      await mkdir(path.join(dir, name))
      await writeFile(path.join(dir, name, 'acme.json'), allowing(host))
      await symlink(name, path.join(dir, '..tmp'))
      await rename(path.join(dir, '..tmp'), path.join(dir, '..data'))
    }
    await release('..1', 'a.test')
    await symlink('..data/acme.json', path.join(dir, 'acme.json'))
    const store = await open(dir)
    for (const [name, host] of [
      ['..2', 'b.test'],
      ['..3', 'c.test'],
    ] as const) {
      await release(name, host)
      await until(() => allows(store.current(), host))
    }
    assert.equal(store.current().generation, 3)
  })

  it('follows a current link, and by polling alone what no event tells', async () => {
    const parent = await directory()
    const release = async (name: string, host: string) => {
      await mkdir(path.join(parent, name))
      await writeFile(path.join(parent, name, 'acme.json'), allowing(host))
      await symlink(name, path.join(parent, 'next'))
      await rename(path.join(parent, 'next'), path.join(parent, 'current'))
    }
    await release('1', 'a.test')
    const store = await open(path.join(parent, 'current'))
    await release('2', 'b.test')
    await until(() => allows(store.current(), 'b.test'))

    const outside = path.join(parent, 'outside.json')
    await writeFile(outside, allowing('a.test'))
    const linked = await directory()
    await symlink(outside, path.join(linked, 'acme.json'))
    const polled = await open(linked, 20)
    await writeFile(outside, allowing('c.test'))
    await until(() => allows(polled.current(), 'c.test'))
  })

  it('keeps a listener that throws from the others, and tells nobody after close', async () => {
    const dir = await directory()
    const file = path.join(dir, 'acme.json')
    await writeFile(file, allowing('a.test'))
    const store = await openPolicyStore({ dir, log, metrics, pollMs: 10, debounceMs: 10 })
    let told = 0
    store.onChange(() => {
      throw new Error('broken listener')
    })
    const end = store.onChange(() => {
      told += 1
      happened()
    })
    await writeFile(file, allowing('b.test'))
    await until(() => told === 1)
    end()
    await store.close()
    assert.match(warnings.join(), /a listener to policy failed/)
  })

  it('refuses options that are no times', async () => {
    const dir = await directory()
    for (const wrong of [0, -1, Number.NaN])
      await assert.rejects(openPolicyStore({ dir, log, metrics, pollMs: wrong }), TypeError)
  })

  it('loads a thousand tenants, and decides for each by its own rules', async function () {
    this.timeout(60_000)
    const dir = await directory()
    const tenants = Array.from({ length: 1000 }, (_, index) => `t${index}`)
    const hosts = Array.from({ length: 40 }, (_, index) => `h${index}.test`)
    const rules = hosts.map((host, index) => (index % 4 === 0 ? `*.${host}` : host))
    await Promise.all(
      tenants.map((tenant) =>
        writeFile(
          path.join(dir, `${tenant}.json`),
          JSON.stringify({ tenant, egress: { allow: rules, deny: ['gist.test', '*.paste.test'] } }),
        ),
      ),
    )
    const store = await open(dir)
    const policy = store.current()
    assert.equal(policy.tenants.size, 1000)
    const rounds = 10_000
    const questions = Array.from({ length: 1000 }, (_, index) => ({
      agent: { tenant: `t${index}`, agent: 'bot' },
      host: index % 2 === 0 ? 'h1.test' : 'a.b.h4.test',
      port: 443,
      request: null,
      allowedDestinations: hosts.concat(rules),
    }))
    for (let round = 0; round < rounds; round += 1) {
      const question = questions[round % questions.length]
      if (question !== undefined) assert.ok(decideEgress(question, policy).action === 'allow')
    }
  })
})
