/** A path has one canonical form, or none and a name for what is wrong with it. */
import assert from 'node:assert/strict'
import { parsePathGlob } from '../../../../mesh-gateway/src/policy/compile/path-glob.ts'
import {
  canonicalPath,
  escapeBeyondAscii,
  type PathFault,
} from '../../../../mesh-gateway/src/policy/decide/canonical-path.ts'

describe('the canonical form of a path', () => {
  const good: [path: string, canonical: string][] = [
    ['/', '/'],
    ['/a', '/a'],
    ['/a/', '/a/'],
    ['/a/b.c', '/a/b.c'],
    ['/a?x=/../%zz#y', '/a'],
    ['/a#x?y', '/a'],
    ['/?', '/'],
    ['/%61%2D%7e', '/a-~'],
    ['/a%3ab', '/a%3Ab'],
    ['/a%c3%a9', '/a%C3%A9'],
    ['/a%20b', '/a%20b'],
    ['/a"b', '/a%22b'],
    ['/a<b>[c]^`{|}', '/a%3Cb%3E%5Bc%5D%5E%60%7B%7C%7D'],
    ["/!$&'()*+,:;=@-_.~", "/!$&'()*+,:;=@-_.~"],
    ['/.well-known/x', '/.well-known/x'],
    ['/...', '/...'],
    ['/a..b/..c', '/a..b/..c'],
    ['/a/b..', '/a/b..'],
    ['/%25', '/%25'],
    ['/%2541', '/%2541'],
    ['/%C2%A0', '/%C2%A0'],
    ['/%E0%A0%80', '/%E0%A0%80'],
    ['/%F0%90%80%80', '/%F0%90%80%80'],
  ]
  for (const [path, canonical] of good)
    it(`of ${path} is ${canonical}`, () => {
      assert.deepEqual(canonicalPath(path), { path: canonical, fault: null })
      // made canonical again it stays
      assert.deepEqual(canonicalPath(canonical), { path: canonical, fault: null })
    })

  const bad: [path: string, fault: PathFault][] = [
    ['', 'relative'],
    ['a', 'relative'],
    ['?/a', 'relative'],
    ['*', 'relative'],
    ['/\x80', 'beyond-ascii'],
    ['/caf\xe9', 'beyond-ascii'],
    ['/\uffff', 'beyond-ascii'],
    ['/a b', 'control'],
    ['/a\n', 'control'],
    ['/\x7f', 'control'],
    ['/%zz', 'broken-escape'],
    ['/%', 'broken-escape'],
    ['/%4', 'broken-escape'],
    ['/a%g0', 'broken-escape'],
    ['//', 'ambiguous'],
    ['/a//b', 'ambiguous'],
    ['/.', 'ambiguous'],
    ['/..', 'ambiguous'],
    ['/a/./b', 'ambiguous'],
    ['/a/../b', 'ambiguous'],
    ['/a/..;x', 'ambiguous'],
    ['/a/.%3bx', 'ambiguous'],
    ['/a/%2e%2E/b', 'ambiguous'],
    ['/a%2fb', 'ambiguous'],
    ['/a%5Cb', 'ambiguous'],
    ['/a\\b', 'ambiguous'],
    ['/a%00', 'ambiguous'],
    ['/a%252f', 'ambiguous'],
    ['/a%252E', 'ambiguous'],
    ['/a%255c', 'ambiguous'],
    ['/a%2500', 'ambiguous'],
    ['/a%2525', 'ambiguous'],
    ['/a%01', 'control'],
    ['/a%1f', 'control'],
    ['/a%7F', 'control'],
    ['/a%C2%80', 'control'],
    ['/a%c2%9f', 'control'],
    ['/a%C0%AE', 'overlong'],
    ['/a%C1%81', 'overlong'],
    ['/a%E0%80%AF', 'overlong'],
    ['/a%E0%9F%BF', 'overlong'],
    ['/a%F0%80%80%AF', 'overlong'],
  ]
  for (const [path, fault] of bad)
    it(`is none for ${JSON.stringify(path)}: ${fault}`, () => {
      assert.deepEqual(canonicalPath(path), { path: null, fault })
    })

  it('of a rule begins with its text escaped, where that is beyond ASCII', () => {
    assert.equal(escapeBeyondAscii('/café/*'), '/caf%C3%A9/*')
    assert.equal(escapeBeyondAscii('/a %é😀'), '/a %%C3%A9%F0%9F%98%80')
    assert.equal(escapeBeyondAscii('/a b%'), '/a b%')
    assert.equal(escapeBeyondAscii('/\u0080'), '/%C2%80')
    assert.equal(escapeBeyondAscii('/\ud800'), null)
  })
})

describe('the glob of a path rule', () => {
  const good: [text: string, tokens: string[]][] = [
    ['/', ['/']],
    ['/a', ['/a']],
    ['/*', ['/', '*']],
    ['/**', ['/', '**']],
    ['/a*b**c', ['/a', '*', 'b', '**', 'c']],
    ['/%61/*', ['/a/', '*']],
    ['/é', ['/%C3%A9']],
    [`/${'*/'.repeat(7)}**`, ['/', ...Array.from({ length: 7 }, () => ['*', '/']).flat(), '**']],
    [`/${'a'.repeat(511)}`, [`/${'a'.repeat(511)}`]],
  ]
  for (const [text, tokens] of good)
    it(`has the parts of its text: ${text.slice(0, 40)}`, () => {
      assert.deepEqual(parsePathGlob(text), { text, tokens })
    })

  const bad: [text: string, why: string][] = [
    ['', 'does not begin with /'],
    ['a', 'does not begin with /'],
    ['*/', 'does not begin with /'],
    ['a?b', 'does not begin with /'],
    [`/${'a'.repeat(512)}`, 'is longer than 512 characters'],
    ['/a?b', 'holds a query or fragment; rules see the path alone'],
    ['/a#b', 'holds a query or fragment; rules see the path alone'],
    ['/***', 'holds ***; * is within a segment, ** across segments'],
    ['/\udc00', 'holds half of a surrogate pair, which no path can hold'],
    ['/a b', 'holds a control character or a blank; escaped control characters count too'],
    ['/a%zz', 'holds a % that two hexadecimal digits do not follow'],
    ['/a/../b', 'is ambiguous: no //, /./, /../, \\ or encoded slashes'],
    [`/${'*/'.repeat(8)}**`, 'has more than 8 wildcards'],
    [`/${'**/'.repeat(9)}`, 'has more than 8 wildcards'],
  ]
  for (const [text, why] of bad)
    it(`is refused, and it is said why: ${JSON.stringify(text.slice(0, 40))}`, () => {
      assert.equal(parsePathGlob(text), why)
    })
})
