/** A pattern counts as cheap only where no text can make it expensive. */
import assert from 'node:assert/strict'
import { isCheapPattern } from '../../../agent-sdk/src/schema/cheap-pattern.ts'

describe('a pattern', () => {
  it('is cheap with one choice at most, and none within a group', () => {
    for (const pattern of [
      ...['^https://', '^[a-z]+$', '^\\d{4}-\\d{2}-\\d{2}$', 'a*', '^a+?$', 'a{2,5}', 'x?'],
      ...[
        'yes|no',
        '^(?:\\p{Lu})[(*+?|)]{3}$',
        '(?<year>\\d{4})',
        '\\(\\*\\+\\?',
        '^$',
        '\\u{1f600}+',
        ...['^https?://', '^sha256:[0-9a-f]{64}$', '^[a-z]{2}-\\d+$'],
      ],
    ])
      assert.ok(isCheapPattern(pattern), pattern)
  })

  it('is not, where it repeats a group, chooses twice, or refers back', () => {
    for (const pattern of [
      ...['^(a+)+$', '(a|a)*', '(?:a){30}', '(a|a)(a|a)', 'a?a?aa', '\\s+a*', '.*x{1,}', '(a)\\1'],
      ...['a{1,9}a{1,9}', '(?:ab)?', '^(?=a+)a+$', '(?<n>a)\\k<n>', '(a{2}){3}'],
    ])
      assert.ok(!isCheapPattern(pattern), pattern)
  })

  it('is not, where more than a little is compared anew for each way to choose', () => {
    for (const pattern of ['.*.{250}x', 'a*a{9}', `.*${'.'.repeat(20)}x`, '(?=.{30}x).*', '.{9}a?'])
      assert.ok(!isCheapPattern(pattern), pattern)
  })

  it('that counts as cheap ends soon on every text of 512 characters that is made to stop it', () => {
    const startedMs = performance.now()
    for (const pattern of ['a*b', '[ab]+c', 'a{1,500}b', '(ab)c?', 'a+$'])
      for (const text of ['a'.repeat(512), `${'a'.repeat(511)}!`, 'ab'.repeat(256)]) {
        assert.ok(isCheapPattern(pattern))
        new RegExp(pattern, 'u').test(text)
      }
    assert.ok(performance.now() - startedMs < 10_000)
  })
})
