import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parsePathGlob } from '../../../../mesh-gateway/src/policy/compile/path-glob.ts'
import {
  addGlob,
  findInTrie,
  pathTrie,
} from '../../../../mesh-gateway/src/policy/compile/path-trie.ts'
import { StepBudget } from '../../../../mesh-gateway/src/policy/compile/step-budget.ts'
import { canonicalPath } from '../../../../mesh-gateway/src/policy/decide/canonical-path.ts'

function glob(text: string) {
  const parsed = parsePathGlob(text)
  assert.ok(typeof parsed !== 'string', String(parsed))
  return parsed
}

/** The place of the first of the globs that matches, as rules of one path each; -1 when none does. */
function firstMatch(
  globs: readonly string[],
  path: string,
  options: { budget?: StepBudget; test?: (place: number) => boolean } = {},
): number {
  const { budget = new StepBudget(), test = () => true } = options
  const trie = pathTrie()
  for (const [place, text] of globs.entries()) addGlob(trie, glob(text), place)
  const found = findInTrie(trie, path, Number.POSITIVE_INFINITY, test, budget)
  return found === Number.POSITIVE_INFINITY ? -1 : found
}

/** What a glob means, without any of the code that is tested. */
function meaning(text: string): RegExp {
  const literal = (part: string) => part.replaceAll(/[.+?^$()[\]{}|\\]/g, '\\$&')
  const source = text.split(/(\*\*|\*)/).map((part) => {
    if (part === '**') return '[^]*'
    return part === '*' ? '[^/]*' : literal(part)
  })
  return new RegExp(`^${source.join('')}$`)
}

/** The same in time that is bounded: for each token in turn, where in the path it may end. */
function slowlyMatches(text: string, path: string): boolean {
  const ends = text.split(/(\*\*|\*)/).reduce<ReadonlySet<number>>(
    (begins, token) => {
      const next = new Set<number>()
      for (const begin of begins) {
        if (!token.startsWith('*')) {
          if (path.startsWith(token, begin)) next.add(begin + token.length)
          continue
        }
        for (let end = begin; end <= path.length && !next.has(end); end += 1) {
          next.add(end)
          if (token === '*' && path[end] === '/') break
        }
      }
      return next
    },
    new Set([0]),
  )
  return ends.has(path.length)
}

describe('a path glob', () => {
  const table: [text: string, path: string, matches: boolean][] = [
    ['/', '/', true],
    ['/a', '/a', true],
    ['/a', '/a/', false],
    ['/**', '/', true],
    ['/**', '/a/b', true],
    ['/*', '/a', true],
    ['/*', '/', true],
    ['/*', '/a/b', false],
    ['/a/*/c', '/a/b/c', true],
    ['/a/*/c', '/a//c', true],
    ['/a/*/c', '/a/b/b/c', false],
    ['/a/**/c', '/a/b/b/c', true],
    ['/a/**/c', '/a/c', false],
    ['/a/**c', '/a/c', true],
    ['/*.json', '/x.json', true],
    ['/*.json', '/x.json.evil', false],
    ['/**/*.json', '/a/b/x.json', true],
    ['/**/*.json', '/a/b/x.json/y', false],
    ['/v1/*/x/**', '/v1/a/x/y/z', true],
    ['/%61', '/a', true],
    ['/a(b)+', '/a(b)+', true],
    ['/a{b}', '/a%7Bb%7D', true],
    ['/café/**', '/caf%C3%A9/x', true],
    ['/日本/*', '/%E6%97%A5%E6%9C%AC/x', true],
    ['/caf%c3%a9', '/caf%C3%A9', true],
  ]
  for (const [text, path, matches] of table)
    it(`${text} ${matches ? 'matches' : 'does not match'} ${path}`, () => {
      assert.equal(firstMatch([text], path), matches ? 0 : -1)
    })

  it('is refused when its path has no canonical form, since it would never match', () => {
    for (const text of [
      '/a//b',
      '/a/../b',
      '/a%2fb',
      '/a%',
      '/a b',
      '/a%0a',
      '/a%7F',
      '/a\u0085b',
      '/a%C0%AF',
      '/a%252f',
      '/a\ud800b',
    ])
      assert.equal(typeof parsePathGlob(text), 'string', text)
    assert.equal(typeof parsePathGlob(`/${'*a'.repeat(9)}`), 'string')
  })
})

describe('all path globs of a host', () => {
  const seed = Date.now() % 2 ** 31
  const token = fc.constantFrom('/', 'a', 'b', '*', '**', 'ab', '/a', 'ba/')
  const text = fc
    .array(token, { maxLength: 9 })
    .map((tokens) => `/${tokens.join('')}`)
    .filter((one) => typeof parsePathGlob(one) !== 'string')
  const path = fc
    .array(fc.constantFrom('/', 'a', 'b', 'ab'), { maxLength: 14 })
    .map((parts) => `/${parts.join('')}`)

  it(`find the first that matches, as regular expressions in turn do (seed ${seed})`, () => {
    fc.assert(
      fc.property(
        fc.array(text, { minLength: 1, maxLength: 12 }),
        path,
        fc.func(fc.boolean()),
        (globs, asked, test) => {
          const naive = globs.findIndex((one, place) => meaning(one).test(asked) && test(place))
          assert.equal(firstMatch(globs, asked, { test }), naive)
          for (const one of globs) assert.equal(slowlyMatches(one, asked), meaning(one).test(asked))
        },
      ),
      { numRuns: 1000, seed },
    )
  })

  it('read a path about once, however many there are', () => {
    const asked = `/team-7/${'segment/'.repeat(1000)}end`
    const many = Array.from({ length: 9_900 }, (_, n) => [
      `/team-${n}/private/**`,
      `/team-${n}/*/report.json`,
      `/**/secret-${n}`,
    ])
    const budget = new StepBudget(Number.POSITIVE_INFINITY)
    assert.equal(firstMatch(many.flat(), asked, { budget }), -1)
    assert.ok(budget.spent < 4 * asked.length, `${budget.spent} steps`)
    const some = new StepBudget(Number.POSITIVE_INFINITY)
    firstMatch(many.flat().slice(0, 30), asked, { budget: some })
    assert.ok(budget.spent <= some.spent * 1.5, `${some.spent} steps for few of them`)
  })

  it('take a step for each segment where every * stands for a whole one', () => {
    const globs = Array.from({ length: 500 }, (_, n) => `/team/*/doc-${n}/*/pages/*`)
    const budget = new StepBudget()
    assert.equal(firstMatch(globs, '/team/red/doc-499/2026-11-29/pages/7', { budget }), 499)
    assert.ok(budget.spent < 20, `${budget.spent} steps`)
  })

  it(`take no more steps than the budget has, whatever globs and path come together (seed ${seed})`, () => {
    const hostile = Array.from(
      { length: 1_000 },
      (_, n) => `/**a**a**a**a**a**a**a${'b'.repeat(n % 90)}c`,
    )
    const budget = new StepBudget(10_000)
    assert.equal(firstMatch(hostile, `/${'a'.repeat(8_000)}`, { budget }), -1)
    assert.ok(budget.exhausted)
    const trap = fc
      .array(fc.constantFrom('**a', '*a', 'aaa', '*/', '**b', '/'), { minLength: 1, maxLength: 8 })
      .map((tokens) => `/${tokens.join('')}`)
      .filter((one) => typeof parsePathGlob(one) !== 'string')
    const where = fc.array(fc.constantFrom('a', 'aa', 'b', '/a'), { maxLength: 400 })
    fc.assert(
      fc.property(fc.array(trap, { minLength: 1, maxLength: 40 }), where, (globs, parts) => {
        const small = new StepBudget(500)
        const asked = `/${parts.join('')}`
        const found = firstMatch(globs, asked, { budget: small })
        const naive = globs.findIndex((one) => slowlyMatches(one, asked))
        // either an honest answer, or one that says that it is none
        assert.ok(small.exhausted || found === naive)
      }),
      { numRuns: 300, seed },
    )
  })
})

describe('the canonical form of a path', () => {
  it('is without its query, and there is none of one that can be read in two ways', () => {
    assert.equal(canonicalPath('/a/b?c=/../d').path, '/a/b')
    assert.equal(canonicalPath('/%7euser/%e4').path, '/~user/%E4')
    for (const path of [
      '',
      'a',
      '/a//b',
      '/a/..',
      '/./a',
      '/a/%2E%2e/b',
      '/a/..;x/b',
      '/a/..%3Bx/b',
      '/a%2fb',
      '/a%5cb',
      '/a\\b',
      '/a%',
      '/a%g0',
      '/a b',
      '/a%00',
    ])
      assert.equal(canonicalPath(path).path, null, path)
  })

  for (const [path, fault] of [
    ['/caf\xe9', 'beyond-ascii'],
    ['/a\x80', 'beyond-ascii'],
    ['/a%0Ab', 'control'],
    ['/a%0d%0ax', 'control'],
    ['/a%7F', 'control'],
    ['/a%1b[2J', 'control'],
    ['/a%C2%85', 'control'],
    ['/a%C0%AE%C0%AE/b', 'overlong'],
    ['/a%E0%80%AF', 'overlong'],
    ['/a%252e%252e/b', 'ambiguous'],
    ['/a%252fb', 'ambiguous'],
    ['/a%255cb', 'ambiguous'],
    ['/a%2500', 'ambiguous'],
    ['/a%2525', 'ambiguous'],
  ] as const)
    it(`does not exist of ${JSON.stringify(path)}: ${fault}`, () => {
      assert.deepEqual(canonicalPath(path), { path: null, fault })
    })

  const seed = Date.now() % 2 ** 31

  it(`is a fixed point, and never changes what a path names (seed ${seed})`, () => {
    const piece = fc.oneof(
      fc.string({ maxLength: 4 }),
      fc.constantFrom('/', '.', '%41', '%c3%a9', '{'),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
        const text = `/${pieces.join('')}`
        const { path } = canonicalPath(text)
        if (path === null) return
        assert.deepEqual(canonicalPath(path), { path, fault: null })
        const bare = text.split(/[?#]/)[0] ?? ''
        assert.equal(
          Buffer.from(bytesOf(path), 'latin1').compare(Buffer.from(bytesOf(bare), 'latin1')),
          0,
        )
      }),
      { numRuns: 600, seed },
    )
  })
})

/** Bytes, one character each. */
function bytesOf(path: string): string {
  return path.replaceAll(/%[0-9A-Fa-f]{2}/g, (escaped) =>
    String.fromCharCode(Number.parseInt(escaped.slice(1), 16)),
  )
}
