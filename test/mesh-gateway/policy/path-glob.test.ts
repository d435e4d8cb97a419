import assert from 'node:assert/strict'
import fc from 'fast-check'
import { normalisePath, parsePathGlob } from '../../../mesh-gateway/src/policy/path-glob.ts'

function glob(text: string) {
  const parsed = parsePathGlob(text)
  assert.ok(typeof parsed !== 'string', String(parsed))
  return parsed
}

describe('a path glob', () => {
  const table: [text: string, path: string, matches: boolean][] = [
    ['/', '/', true],
    ['/a', '/a', true],
    ['/a', '/a/', false],
    ['/**', '/', true],
    ['/**', '/a/b', true],
    ['/*', '/a', true],
    ['/*', '/a/b', false],
    ['/a/*/c', '/a/b/c', true],
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
  ]
  for (const [text, path, matches] of table)
    it(`${text} ${matches ? 'matches' : 'does not match'} ${path}`, () => {
      assert.equal(glob(text).matches(path), matches)
    })

  it('agrees with a regular expression that says the same', () => {
    const token = fc.constantFrom('/', 'a', 'b', '*', '**/', 'ab')
    const text = fc.array(token, { maxLength: 8 }).map((tokens) => `/${tokens.join('')}`)
    const path = fc
      .array(fc.constantFrom('/', 'a', 'b'), { maxLength: 12 })
      .map((parts) => `/${parts.join('')}`)
    fc.assert(
      fc.property(text, path, (pattern, asked) => {
        const parsed = parsePathGlob(pattern)
        if (typeof parsed === 'string') return
        const source = pattern.replaceAll(/\*\*|\*/g, (star) => (star === '**' ? '.*' : '[^/]*'))
        assert.equal(parsed.matches(asked), new RegExp(`^${source}$`).test(asked))
      }),
      { numRuns: 2000 },
    )
  })

  it('answers at once, whatever path an agent makes up', () => {
    const slow = glob('/**a**a**a**a**a**a**a**b')
    const started = performance.now()
    assert.equal(slow.matches(`/${'a'.repeat(16_000)}`), false)
    assert.ok(performance.now() - started < 1000)
    assert.equal(typeof parsePathGlob(`/${'*a'.repeat(9)}`), 'string')
  })

  it('sees a path without its query, and none that can be read in two ways', () => {
    assert.equal(normalisePath('/a/b?c=/../d'), '/a/b')
    assert.equal(normalisePath('/%7euser/%e4'), '/~user/%E4')
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
      assert.equal(normalisePath(path), null, path)
  })
})
