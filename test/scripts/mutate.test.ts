import assert from 'node:assert/strict'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readEquivalents } from '../../scripts/mutate/equivalents.ts'
import { findMutants } from '../../scripts/mutate/find-mutants.ts'
import { type JudgeOptions, judgeRoom } from '../../scripts/mutate/judge-room.ts'
import { reportLines } from '../../scripts/mutate/report.ts'
import { findRoom, mirrors, ROOM_NAMES } from '../../scripts/mutate/rooms.ts'
import { runMocha } from '../../scripts/mutate/run-mocha.ts'

const SOURCE = 'pkg/src/room/may-enter.ts'
const TEST = 'test/pkg/room/may-enter.test.ts'
const FILES: Readonly<Record<string, string>> = {
  'package.json': '{"type":"module"}',
  [SOURCE]: `/** Whether one more may enter. */
export function mayEnter(open: number, most: number): boolean {
  return open < most
}

export function isFull(open: number, most: number): boolean {
  return open >= most
}
`,
  [TEST]: `import assert from 'node:assert/strict'
import { mayEnter } from '../../../pkg/src/room/may-enter.ts'

it('lets enter below the limit, and nobody far above it', () => {
  assert.equal(mayEnter(1, 2), true)
  assert.equal(mayEnter(3, 2), false)
})
`,
  'test/pkg/room/broken.test.ts': `it('fails without a mutant', () => {
  throw new Error('always')
})
`,
}

describe('npm run mutate', () => {
  const changes = (code: string) => findMutants('a.ts', code).map(({ after }) => after)

  describe('finds changes', () => {
    it('of conditions, bounds and parts of a condition', () => {
      assert.deepEqual(changes('if (a < 90 && b) c()'), [
        'if (true && b) c()',
        'if (true) c()',
        'if (false) c()',
        'if (a <= 90 && b) c()',
        'if (a >= 90 && b) c()',
        'if (a < 90 || b) c()',
        'if (a < 90 && true) c()',
        'if (a < 90 && b) ;',
      ])
    })

    it('of defaults, negations, small numbers, patterns and methods', () => {
      assert.deepEqual(changes('const a = b ?? !c'), [
        'const a = b',
        'const a = !c',
        'const a = b ?? c',
      ])
      assert.deepEqual(changes('const a = [2, 5000]'), ['const a = [3, 5000]'])
      assert.deepEqual(changes('const a = /^x$/i'), ['const a = /x$/i', 'const a = /^x/i'])
      assert.deepEqual(changes("const a = b.trim().endsWith('.x')"), [
        "const a = b.endsWith('.x')",
        "const a = b.trim().startsWith('.x')",
      ])
      assert.deepEqual(changes("const a = 'b' + c"), [])
    })

    it('in code with types and comments, at the line and column of the source', () => {
      const code = `interface A { readonly b: number }
/* a < b */ export const over = (a: A /* < */, most: number): boolean => a.b /* > */ > most
`
      const [first] = findMutants('a.ts', code)
      assert.equal(first?.line, 2)
      assert.equal(code.slice(first?.start, first?.end), '>')
      assert.equal(first?.start, code.lastIndexOf('> most'))
    })

    it('of what is left out, but of nothing that a test in the same process cannot see', () => {
      assert.deepEqual(changes('a.close()\nthrow b'), [';', ';'])
      assert.deepEqual(changes('timer.unref()'), [])
      assert.deepEqual(changes("'use strict'"), [])
      assert.deepEqual(changes('const a = optionNames({ b: true })'), [])
      assert.deepEqual(changes('const a = names({ b: true })'), ['const a = names({ b: false })'])
    })
  })

  describe('judges a room', () => {
    let root: string
    let lines: string[]
    beforeEach(async () => {
      root = await mkdtemp(join(tmpdir(), 'clawmesh-test-'))
      lines = []
      for (const [file, text] of Object.entries(FILES)) await write(file, text)
      await symlink(join(import.meta.dirname, '../../node_modules'), join(root, 'node_modules'))
    })
    afterEach(() => rm(root, { recursive: true }))

    async function write(file: string, text: string) {
      await mkdir(dirname(join(root, file)), { recursive: true })
      await writeFile(join(root, file), text)
    }
    const judge = (more: Partial<JudgeOptions> = {}) =>
      judgeRoom({
        ...{ root, files: Object.keys(FILES), modules: ['node_modules'], equivalents: [] },
        room: { name: 'room', sources: 'pkg/src/room', tests: ['test/pkg/room'], more: [] },
        ...{ sample: null, seed: 1, mostTests: 12, graceMs: 60_000, near: false, fresh: false },
        stateFolder: join(root, 'state'),
        print: (line) => lines.push(line),
        signal: new AbortController().signal,
        ...more,
      })

    it('with what was seen, what survived and what no test reaches, and leaves the checkout as it was', async () => {
      const equivalents = [
        { file: SOURCE, before: 'return open >= most', after: 'return open > most', reason: 'x' },
        { file: SOURCE, before: 'gone', after: 'y', reason: 'z' },
      ]
      const judgement = await judge({ equivalents })
      assert.deepEqual(reportLines('room', judgement), [
        `${SOURCE}:3 comparison: survived (1 test files that execute it)`,
        '  - return open < most',
        '  + return open <= most',
        `${SOURCE}:7 comparison: reached by no test (no test file)`,
        '  - return open >= most',
        '  + return open < most',
        `equivalents.json: fits no mutant of ${SOURCE}: gone`,
        'room: 1 of 3 mutants seen, 33.3 % (0 by the time limit); 3 in the room, 1 suppressed',
      ])
      assert.match(
        judgement.results[1]?.by ?? '',
        /^test\/pkg\/room\/may-enter\.test\.ts: lets enter/,
      )
      assert.ok(lines.some((line) => /^left out.*broken\.test\.ts: .*always$/.test(line)))
      assert.equal(await readFile(join(root, SOURCE), 'utf8'), FILES[SOURCE])
    }).timeout(240_000)

    it('goes on where it was, and tries again what survived once a test has changed', async () => {
      const sample = await judge({ sample: 1, seed: 5 })
      assert.equal(sample.results.length, 1)
      assert.deepEqual((await judge({ sample: 1, seed: 5 })).results, sample.results)

      await judge()
      const kept = async () =>
        (await readFile(join(root, 'state/room.jsonl'), 'utf8')).trim().split('\n').length
      assert.equal(await kept(), 4)
      await judge()
      assert.equal(await kept(), 4)

      await write(
        TEST,
        `${FILES[TEST]}it('nobody at it', () => assert.equal(mayEnter(2, 2), false))\n`,
      )
      const { results } = await judge()
      assert.deepEqual(
        results.map(({ verdict }) => verdict),
        ['seen', 'seen', 'reached by no test', 'reached by no test'],
      )
      assert.equal(await kept(), 7)
    }).timeout(240_000)

    it('and ends a test that does not end, with all that it started', async () => {
      const server = createServer()
      await once(server.listen(0, '127.0.0.1'), 'listening')
      const { port } = server.address() as AddressInfo
      await write(
        'test/hangs.test.ts',
        `import { spawn } from 'node:child_process'
it('hangs', () => {
  spawn(process.execPath, ['-e', "require('net').connect(${port}, '127.0.0.1')"])
  for (;;);
})
`,
      )
      const scratch = join(root, 't')
      await mkdir(scratch)
      const closed: Promise<unknown>[] = []
      server.on('connection', (socket) => {
        closed.push(
          once(
            socket.resume().on('error', () => undefined),
            'close',
          ),
        )
      })
      try {
        const run = { copy: { root, scratch }, files: ['test/hangs.test.ts'] }
        const { signal } = new AbortController()
        // a busy machine needs longer to start the process
        for (let limitMs = 4_000; closed.length === 0; limitMs *= 2)
          assert.deepEqual(await runMocha({ ...run, limitMs, signal }), { kind: 'hung' })
        // the process that the test started is gone too: its connections are closed
        await Promise.all(closed)
      } finally {
        server.close()
      }
    }).timeout(240_000)
  })

  it('names rooms that exist, and takes a path', () => {
    const files = ['mesh-gateway/src/audit/a.ts', 'mesh-gateway/src/policy/b.ts']
    assert.equal(findRoom('policy', files)?.sources, 'mesh-gateway/src/policy')
    assert.deepEqual(findRoom('mesh-gateway/src/audit/', files)?.tests, ['test/mesh-gateway/audit'])
    assert.deepEqual(findRoom('mesh-gateway/src/audit/a.ts', files)?.tests, [
      'test/mesh-gateway/audit',
    ])
    assert.equal(findRoom('nothing', files), null)
    assert.equal(findRoom('mesh-gateway/src/nothing', files), null)
    for (const name of ['policy', 'tokens', 'revocation', 'egress', 'delegation', 'identity'])
      assert.ok(ROOM_NAMES.includes(name), name)
    assert.ok(mirrors('test/pki/ca/issue.test.ts', 'pki/src/ca/issue.ts'))
    assert.ok(!mirrors('test/pki/ca/issue.test.ts', 'pki/src/cli/issue.ts'))
  })

  it('suppresses what equivalents.json names, each with a reason', async () => {
    const path = new URL('../../scripts/mutate/equivalents.json', import.meta.url)
    const equivalents = await readEquivalents(path)
    for (const { file } of equivalents) await access(new URL(`../../${file}`, import.meta.url))
    const bad = join(tmpdir(), `clawmesh-test-${process.pid}.json`)
    await writeFile(bad, '[{"file":"a.ts","before":"a","after":"b","reason":" "}]')
    await assert.rejects(readEquivalents(bad), /no reason/)
    await rm(bad)
  })
})
